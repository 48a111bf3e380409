//! Keys of cases that are over: destroying them is their deletion (DESIGN 4).

use super::Pipeline;
use crate::clock::now_ms;
use std::sync::Arc;
use std::time::Duration;

/// Pause between two looks for cases that are over; they live a day at least.
const LOOK: Duration = Duration::from_secs(60);

impl Pipeline {
    /// Destroys the key of each case that is over, and ends links whose time is over, for ever.
    pub async fn destroy_keys(self: Arc<Self>) {
        loop {
            match self.journal.destroy_keys_over(now_ms()).await {
                Ok(cases) => cases.iter().for_each(|case| {
                    tracing::info!(stage = "pulled", case = %case, "the key of this case is destroyed: it is over");
                }),
                Err(error) => {
                    tracing::warn!(stage = "pulled", %error, "keys of cases that are over will be looked at again");
                }
            }
            match self.journal.end_links_over(now_ms()).await {
                Ok(0) => {}
                Ok(links) => {
                    tracing::info!(stage = "pulled", links, "links for outside recipients have ended")
                }
                Err(error) => tracing::warn!(stage = "pulled", %error, "links will be looked at again"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
