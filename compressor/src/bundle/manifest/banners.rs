//! Banners as the sealed manifest writes them, one for each series (SPEC 4.3).

use crate::bundle::{Series, UnpackError};
use crate::dataset::BannerTexts;

/// Gives each series its banner. Bundles of earlier programs have none.
pub(super) fn give(banners: Vec<BannerTexts>, series: &mut [Series]) -> Result<(), UnpackError> {
    super::require(
        banners.is_empty() || banners.len() == series.len(),
        "banners are not those of the series",
    )?;
    for (series, banner) in series.iter_mut().zip(banners) {
        series.banner = banner.into();
    }
    Ok(())
}
