//! Throttling, as a server's application sees it.

use super::change;
use crate::ThrottleError;
use crate::listeners::Outcome;
use crate::server::Server;

impl Server {
    /// The features that are held back now (R37), in the order in which they were made
    /// [`optional`](crate::server::Throttle::optional).
    #[must_use]
    pub fn throttled(&self) -> Vec<String> {
        (*self.core.throttling.features()).clone()
    }

    /// Whether that feature is held back now: for what the application does by itself.
    ///
    /// ```
    /// # fn preview(_: &str) {}
    /// # fn say(server: &moorline::Server, link: &str) {
    /// if !server.is_throttled("previews") {
    ///     preview(link);
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn is_throttled(&self, feature: &str) -> bool {
        self.core.throttling.features().iter().any(|own| own == feature)
    }

    /// Holds back these features from now on and no others, whatever the load; none where there are none. Until
    /// [`throttle_by_load`](Self::throttle_by_load), also when it is stopped and run again.
    ///
    /// # Errors
    ///
    /// When one of them is not [`optional`](crate::server::Throttle::optional). Nothing changes then.
    pub fn throttle_now<F: AsRef<str>>(
        &self,
        features: impl IntoIterator<Item = F>,
    ) -> Result<(), ThrottleError> {
        let known = &self.core.throttling.settings.features;
        let mut by_hand = Vec::new();
        for feature in features {
            let feature = feature.as_ref();
            if !known.iter().any(|(own, _)| own == feature) {
                return Err(ThrottleError::Unknown(feature.to_owned()));
            }
            if !by_hand.iter().any(|own| own == feature) {
                by_hand.push(feature.to_owned());
            }
        }
        change(&self.core, |state| state.by_hand = Some(by_hand));
        Ok(())
    }

    /// Lets the load decide again, as it does from the start.
    pub fn throttle_by_load(&self) {
        change(&self.core, |state| state.by_hand = None);
    }

    /// Calls `hook` when what is held back has changed, with all of it; with nothing when it is over. In a task of its own: when
    /// it changes several times while a hook runs, the newest is told.
    ///
    /// ```
    /// # fn watch(server: &moorline::Server) {
    /// server.on_throttle(|features| match features.as_slice() {
    ///     [] => println!("all is well"),
    ///     held => println!("held back: {}", held.join(", ")),
    /// });
    /// # }
    /// ```
    pub fn on_throttle<F, R, M>(&self, hook: F)
    where
        F: Fn(Vec<String>) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        self.core.throttling.listeners.add(hook);
    }
}
