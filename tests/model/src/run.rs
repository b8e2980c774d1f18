//! Runs the model and says what came of it.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use crate::world::{Action, Exclusive};

impl Exclusive {
    /// Visits every state: all promises hold in each of them, all that must be possible is, and there are so many.
    ///
    /// # Panics
    ///
    /// If not; with the steps that lead to a state in which a promise is broken.
    pub fn holds_in(self, states: usize) {
        let checked = self.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        println!("{:?}", self.adversary);
        println!("{} states, at most {} steps", checked.unique_state_count(), checked.max_depth() - 1);
        checked.assert_properties();
        assert_eq!(checked.unique_state_count(), states, "another number of states");
    }

    /// The shortest way to a state in which a promise is broken.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn breaks(self, promise: &'static str) -> Vec<Action> {
        let promises = || HasDiscoveries::AllOf(BTreeSet::from([promise]));
        let checked = self.checker().finish_when(promises()).spawn_bfs().join();
        let mut shortest = checked.assert_any_discovery(promise).into_actions();
        // The checker may have gone on a little.
        loop {
            let shorter =
                self.checker().finish_when(promises()).target_max_depth(shortest.len() + 1).spawn_bfs().join();
            match shorter.discovery(promise) {
                Some(path) => shortest = path.into_actions(),
                None => break,
            }
        }
        println!("{promise}:");
        for (number, action) in (1..).zip(&shortest) {
            println!("{number:3}. {action:?}");
        }
        shortest
    }
}
