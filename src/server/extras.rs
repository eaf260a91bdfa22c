//! What an application keeps with a connection (R15).

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use crate::sync::lock;

/// Values by their type, and tags. Most connections have none, and then pay a word for it.
#[derive(Default)]
pub(super) struct Extras {
    inner: OnceLock<Box<Inner>>,
}

#[derive(Default)]
struct Inner {
    props: Mutex<BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    tags: Mutex<BTreeMap<String, String>>,
}

impl Extras {
    pub(super) fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let value = lock(&self.inner.get()?.props).get(&TypeId::of::<T>()).cloned();
        value?.downcast().ok()
    }

    pub(super) fn set<T: Any + Send + Sync>(&self, value: T) -> Option<Arc<T>> {
        self.set_any(TypeId::of::<T>(), Arc::new(value))?.downcast().ok()
    }

    pub(super) fn set_any(
        &self,
        key: TypeId,
        value: Arc<dyn Any + Send + Sync>,
    ) -> Option<Arc<dyn Any + Send + Sync>> {
        lock(&self.inner.get_or_init(Box::default).props).insert(key, value)
    }

    pub(super) fn tags(&self) -> BTreeMap<String, String> {
        self.inner.get().map(|inner| lock(&inner.tags).clone()).unwrap_or_default()
    }

    pub(super) fn tag(&self, name: &str) -> Option<String> {
        lock(&self.inner.get()?.tags).get(name).cloned()
    }

    pub(super) fn set_tag(&self, name: String, value: Option<String>) -> Option<String> {
        let mut tags = lock(&self.inner.get_or_init(Box::default).tags);
        match value {
            Some(value) => tags.insert(name, value),
            None => tags.remove(&name),
        }
    }
}
