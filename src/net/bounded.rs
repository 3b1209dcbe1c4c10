//! Lists that never grow beyond what a session may cost.
//!
//! Nothing is allocated before the first entry, and then once for as many entries as there may be.

/// At most `N` entries, and how many there would have been besides.
#[derive(Debug)]
pub(super) struct Bounded<T, const N: usize> {
    entries: Vec<T>,
    omitted: u64,
}

impl<T, const N: usize> Default for Bounded<T, N> {
    fn default() -> Self {
        Self { entries: Vec::new(), omitted: 0 }
    }
}

impl<T, const N: usize> Bounded<T, N> {
    /// Bytes that a full list takes beyond its own size.
    #[cfg(test)]
    pub(super) const HEAP_BYTES: usize = N * size_of::<T>();

    /// Adds an entry; a full list counts it as omitted. Returns the entry, if it is there.
    pub(super) fn push(&mut self, entry: T) -> Option<&mut T> {
        if self.entries.len() == N {
            self.omitted += 1;
            return None;
        }
        if self.entries.capacity() == 0 {
            self.entries.reserve_exact(N);
        }
        self.entries.push(entry);
        self.entries.last_mut()
    }

    /// Adds an entry; in a full list it takes the place of the one at `victim`, which counts as omitted.
    pub(super) fn push_over(&mut self, entry: T, victim: impl FnOnce(&[T]) -> usize) {
        if self.entries.len() == N {
            let victim = victim(&self.entries).min(N - 1);
            self.entries.remove(victim);
            self.omitted += 1;
        }
        // There is room now.
        let _ = self.push(entry);
    }

    pub(super) fn omitted(&self) -> u64 {
        self.omitted
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.entries.iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.entries.iter_mut()
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.entries.get_mut(at)
    }

    pub(super) fn last_mut(&mut self) -> Option<&mut T> {
        self.entries.last_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_list_counts_what_it_leaves_out() {
        let mut list = Bounded::<u8, 2>::default();
        assert!(list.push(1).is_some() && list.push(2).is_some() && list.push(3).is_none());
        list.push_over(4, |_| 0);
        assert_eq!(list.iter().copied().collect::<Vec<_>>(), [2, 4]);
        assert_eq!((list.omitted(), list.entries.capacity()), (2, 2));
    }
}
