//! A table whose index wraps: a wrong index costs bits and never a panic.

/// `N` entries, a power of two.
pub(super) struct Table<T, const N: usize>(Box<[T; N]>);

impl<T: Clone, const N: usize> Table<T, N> {
    pub(super) fn new(entry: T) -> Self {
        const { assert!(N.is_power_of_two()) };
        Self(Box::new(std::array::from_fn(|_| entry.clone())))
    }

    /// The entry of `index` modulo `N`.
    #[inline(always)]
    #[allow(
        clippy::indexing_slicing,
        reason = "the mask keeps the index below N; the compiler drops the check"
    )]
    pub(super) fn at(&mut self, index: usize) -> &mut T {
        &mut self.0[index & (N - 1)]
    }
}
