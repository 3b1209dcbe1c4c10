//! When the memory that openings have used and freed goes back to the system. Pure.
//!
//! Each opening allocates some tens of KiB for moments. Allocators keep what is freed, in an arena for every few threads, and
//! hundreds of openings at once leave MiBs that nobody uses.

/// So many openings leave enough to look for: looking takes milliseconds of all.
const WORTH: u64 = 100;

/// What has been returned.
#[derive(Debug, Default)]
pub(super) struct Freed {
    /// Openings begun, a second ago.
    seen: u64,
    /// Openings begun when memory was last returned.
    returned: u64,
    /// Seconds without an opening.
    quiet: u32,
}

impl Freed {
    /// A second has passed. `begun`: openings begun so far; `busy`: one is under way. Whether to return memory now: after many
    /// openings in the first, second, fourth, eighth … second that has none. What compilers and collectors of the JVM free comes
    /// behind the openings that made them work.
    pub(super) fn second_passed(&mut self, begun: u64, busy: bool) -> bool {
        if busy || begun != self.seen {
            (self.seen, self.quiet) = (begun, 0);
            return false;
        }
        self.quiet = self.quiet.saturating_add(1);
        let more = begun - self.returned;
        let due = self.quiet.is_power_of_two() && begun > 0 && (more == 0 || more >= WORTH);
        if due {
            self.returned = begun;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_returned_in_the_first_quiet_second_after_many_openings_and_ever_more_seldom_then() {
        let mut freed = Freed::default();
        assert!(!freed.second_passed(0, false), "nothing was opened");
        assert!(!freed.second_passed(WORTH, false), "some were opened in this second");
        assert!(!freed.second_passed(WORTH, true), "one is under way");
        let due: Vec<u32> = (1..=40).filter(|_| freed.second_passed(WORTH, false)).collect();
        assert_eq!(due, [1, 2, 4, 8, 16, 32]);
    }

    #[test]
    fn a_few_openings_return_nothing() {
        let mut freed = Freed::default();
        assert!(!freed.second_passed(WORTH, false));
        assert!(freed.second_passed(WORTH, false));
        assert!(!freed.second_passed(2 * WORTH - 1, false));
        assert_eq!((1..=40).filter(|_| freed.second_passed(2 * WORTH - 1, false)).count(), 0, "too few since");
        assert!(!freed.second_passed(2 * WORTH, false));
        assert!(freed.second_passed(2 * WORTH, false));
    }
}
