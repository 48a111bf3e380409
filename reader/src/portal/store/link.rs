//! What was counted of each link, shared by the portals of a state.

use super::{Store, StoreError};
use seal::ids::LinkId;
use sqlx::Row;

/// What was counted of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Passphrases that were wrong, or are being compared.
    pub(crate) tries: u16,
    /// How often it was opened.
    pub(crate) uses: u16,
    /// Its message was there and is no longer.
    pub(crate) is_gone: bool,
}

/// How often a link may be tried and opened, as its site signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    pub(crate) tries: u16,
    pub(crate) uses: u16,
}

impl Store {
    /// What was counted of a link; none if it was never seen.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn link(&self, link: LinkId) -> Result<Option<Counted>, StoreError> {
        let row = sqlx::query("SELECT tries, uses, gone_at_ms FROM link WHERE link = $1");
        let row = row.bind(link.0.as_slice()).fetch_optional(&self.pool).await?;
        Ok(row.map(|row| Counted {
            tries: row.get("tries"),
            uses: row.get("uses"),
            is_gone: row.get::<Option<i64>, _>("gone_at_ms").is_some(),
        }))
    }

    /// A genuine link lies in this mailbox; those that expired before `forgotten_before` (seconds) are forgotten.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn link_seen(
        &self,
        link: LinkId,
        mailbox: &str,
        (expires_at, forgotten_before): (i64, i64),
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM link WHERE expires_at < $1")
            .bind(forgotten_before)
            .execute(&self.pool)
            .await?;
        sqlx::query("INSERT OR IGNORE INTO link (link, mailbox, expires_at) VALUES ($1, $2, $3)")
            .bind(link.0.as_slice())
            .bind(mailbox)
            .bind(expires_at)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Counts a try as wrong before it is looked at; false if there is none left.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn link_tried(&self, link: LinkId, most: Most) -> Result<bool, StoreError> {
        let counted = sqlx::query(
            "UPDATE link SET tries = tries + 1
             WHERE link = $1 AND tries < $2 AND uses < $3 AND gone_at_ms IS NULL",
        )
        .bind(link.0.as_slice())
        .bind(most.tries)
        .bind(most.uses)
        .execute(&self.pool)
        .await?;
        Ok(counted.rows_affected() == 1)
    }

    /// The try was right: it is no longer counted as wrong, but as a use; false if there is none left.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn link_opened(&self, link: LinkId, most: Most) -> Result<bool, StoreError> {
        let counted = sqlx::query(
            "UPDATE link SET tries = tries - 1, uses = uses + 1
             WHERE link = $1 AND tries > 0 AND uses < $2 AND gone_at_ms IS NULL",
        )
        .bind(link.0.as_slice())
        .bind(most.uses)
        .execute(&self.pool)
        .await?;
        Ok(counted.rows_affected() == 1)
    }

    /// Links of a mailbox that were seen and not found gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn links_here(&self, mailbox: &str) -> Result<Vec<LinkId>, StoreError> {
        let rows = sqlx::query("SELECT link FROM link WHERE mailbox = $1 AND gone_at_ms IS NULL");
        let rows = rows.bind(mailbox).fetch_all(&self.pool).await?;
        let id = |bytes: Vec<u8>| bytes.try_into().ok().map(LinkId);
        Ok(rows.iter().filter_map(|row| id(row.get("link"))).collect())
    }

    /// Its message was deleted: it ends for good, with its sessions.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn link_gone(&self, link: LinkId, at_ms: i64) -> Result<(), StoreError> {
        let mut all = self.pool.begin().await?;
        sqlx::query("UPDATE link SET gone_at_ms = $2 WHERE link = $1")
            .bind(link.0.as_slice())
            .bind(at_ms)
            .execute(&mut *all)
            .await?;
        sqlx::query("DELETE FROM session WHERE link = $1").bind(link.0.as_slice()).execute(&mut *all).await?;
        Ok(all.commit().await?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LINK: LinkId = LinkId([1; 16]);
    const MOST: Most = Most { tries: 2, uses: 1 };

    #[tokio::test]
    async fn a_try_is_counted_before_it_is_known_to_be_right_and_a_right_one_as_a_use() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.link_seen(LINK, "guests", (100, 0)).await.unwrap();
        assert!(store.link_tried(LINK, MOST).await.unwrap() && store.link_tried(LINK, MOST).await.unwrap());
        assert!(!store.link_tried(LINK, MOST).await.unwrap(), "two are being compared");
        assert!(
            store.link_opened(LINK, MOST).await.unwrap() && !store.link_opened(LINK, MOST).await.unwrap()
        );
        let counted = Counted { tries: 1, uses: 1, is_gone: false };
        assert_eq!(store.link(LINK).await.unwrap(), Some(counted));
        assert!(!store.link_tried(LINK, MOST).await.unwrap(), "it is used up");
    }

    #[tokio::test]
    async fn a_link_that_is_gone_stays_gone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.link_seen(LINK, "guests", (100, 0)).await.unwrap();
        assert_eq!(store.links_here("guests").await.unwrap(), [LINK]);
        store.link_gone(LINK, 1).await.unwrap();
        store.link_seen(LINK, "guests", (100, 0)).await.unwrap();
        assert!(store.link(LINK).await.unwrap().unwrap().is_gone);
        assert!(store.links_here("guests").await.unwrap().is_empty());
        assert!(!store.link_tried(LINK, MOST).await.unwrap());
    }
}
