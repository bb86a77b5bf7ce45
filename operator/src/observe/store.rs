//! The objects of one kind as last seen.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use kube::Resource;

use crate::kubernetes::stored::{Misfit, Stored};
use crate::kubernetes::watches::News;

/// Namespace and name; the namespace of a cluster-scoped object is empty.
#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The namespace, or nothing.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Name {
    /// A name in a namespace.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The name of that object.
    pub fn of(object: &impl Resource) -> Self {
        let meta = object.meta();
        Self {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// One object as last seen.
#[derive(Debug)]
pub enum Seen<K> {
    /// It fits its type.
    Fits(Arc<K>),
    /// It doesn't.
    Misfit(Arc<Misfit>),
}

impl<K> Clone for Seen<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Fits(object) => Self::Fits(Arc::clone(object)),
            Self::Misfit(misfit) => Self::Misfit(Arc::clone(misfit)),
        }
    }
}

/// A change of one object: before and after, where there was and is one that fits.
#[derive(Debug)]
pub struct Change<K> {
    /// Which object.
    pub name: Name,
    /// Before.
    pub old: Option<Arc<K>>,
    /// After.
    pub new: Option<Arc<K>>,
}

/// The objects of one kind as last seen.
#[derive(Debug)]
pub struct Store<K> {
    objects: RwLock<BTreeMap<Name, Seen<K>>>,
    /// Drops what nobody reads before an object is kept.
    slim: fn(&mut K),
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self::slimmed(|_| {})
    }
}

impl<K> Store<K> {
    /// An empty store that keeps of each object what `slim` leaves.
    pub fn slimmed(slim: fn(&mut K)) -> Self {
        Self {
            objects: RwLock::default(),
            slim,
        }
    }

    /// The object of that name, if it fits.
    pub fn get(&self, name: &Name) -> Option<Arc<K>> {
        match self.read().get(name) {
            Some(Seen::Fits(object)) => Some(Arc::clone(object)),
            Some(Seen::Misfit(_)) | None => None,
        }
    }

    /// The object of that name, even if it doesn't fit.
    pub fn seen(&self, name: &Name) -> Option<Seen<K>> {
        self.read().get(name).cloned()
    }

    /// Those in one namespace, by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.read()
            .range(Name::new(namespace, "")..)
            .take_while(|(name, _)| name.namespace == namespace)
            .filter_map(|(_, seen)| fits(seen))
            .collect()
    }

    /// All of them, by namespace and name.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.read().values().filter_map(fits).collect()
    }

    /// The names of all, those that don't fit too.
    pub fn names(&self) -> Vec<Name> {
        self.read().keys().cloned().collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<Name, Seen<K>>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Resource> Store<K> {
    /// Takes in what a watch says; `scope` is the namespace that it watches, or none for all. Gives what changed.
    pub fn take_in(&self, scope: Option<&str>, news: News<K>) -> Vec<Change<K>> {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        match news {
            News::Applied(object) => vec![self.put(&mut objects, object)],
            News::Deleted(object) => {
                let name = Name::of(&object);
                let old = objects.remove(&name).as_ref().and_then(fits);
                vec![Change { name, old, new: None }]
            }
            News::All(all) => {
                let kept: std::collections::BTreeSet<Name> = all.iter().map(Name::of).collect();
                let gone: Vec<Name> = objects
                    .keys()
                    .filter(|name| scope.is_none_or(|scope| name.namespace == scope) && !kept.contains(*name))
                    .cloned()
                    .collect();
                let removed = gone.into_iter().map(|name| {
                    let old = objects.remove(&name).as_ref().and_then(fits);
                    Change { name, old, new: None }
                });
                let mut changes: Vec<Change<K>> = removed.collect();
                changes.extend(all.into_iter().map(|object| self.put(&mut objects, object)));
                changes
            }
        }
    }

    /// Takes in what a write of ours answered, so that the next look doesn't have to wait for the watch. What the watch
    /// has newer, or has seen deleted, stays.
    pub fn refresh(&self, written: Stored<K>) {
        let version = |object: &K| {
            object
                .meta()
                .resource_version
                .as_deref()
                .and_then(|text| text.parse::<u64>().ok())
        };
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        if let (Stored(Ok(new)), Some(Seen::Fits(old))) = (&written, objects.get(&Name::of(&written)))
            && new.meta().uid == old.meta().uid
            && version(new) > version(old)
        {
            self.put(&mut objects, written);
        }
    }

    fn put(&self, objects: &mut BTreeMap<Name, Seen<K>>, Stored(read): Stored<K>) -> Change<K> {
        let (name, seen) = match read {
            Ok(mut object) => {
                // kubectl's own copy of the whole object; nobody here reads it.
                if let Some(annotations) = object.meta_mut().annotations.as_mut() {
                    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
                }
                (self.slim)(&mut object);
                (Name::of(&object), Seen::Fits(Arc::new(object)))
            }
            Err(misfit) => {
                let metadata = &misfit.metadata;
                let name = Name {
                    namespace: metadata.namespace.clone().unwrap_or_default(),
                    name: metadata.name.clone().unwrap_or_default(),
                };
                tracing::warn!(%name, kind = std::any::type_name::<K>(), error = misfit.error, "object can't be read");
                (name, Seen::Misfit(Arc::new(misfit)))
            }
        };
        let new = fits(&seen);
        let old = objects.insert(name.clone(), seen).as_ref().and_then(fits);
        Change { name, old, new }
    }
}

fn fits<K>(seen: &Seen<K>) -> Option<Arc<K>> {
    match seen {
        Seen::Fits(object) => Some(Arc::clone(object)),
        Seen::Misfit(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::ObjectMeta;

    use super::*;

    fn map(namespace: &str, name: &str) -> Stored<ConfigMap> {
        let metadata = ObjectMeta {
            namespace: Some(namespace.into()),
            name: Some(name.into()),
            ..ObjectMeta::default()
        };
        Stored(Ok(ConfigMap {
            metadata,
            ..ConfigMap::default()
        }))
    }

    fn names(store: &Store<ConfigMap>) -> Vec<String> {
        store.names().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_new_list_forgets_what_is_gone_in_its_own_namespace_only() {
        let store = Store::<ConfigMap>::default();
        store.take_in(None, News::All(vec![map("a", "one"), map("a", "two"), map("b", "one")]));
        let changes = store.take_in(Some("a"), News::All(vec![map("a", "two")]));
        assert_eq!(names(&store), ["a/two", "b/one"]);
        assert_eq!(changes.len(), 2);
    }

    #[test]
    fn a_namespace_is_exactly_that_namespace() {
        let store = Store::<ConfigMap>::default();
        store.take_in(
            None,
            News::All(vec![map("a", "one"), map("ab", "one"), map("a-b", "one")]),
        );
        assert_eq!(store.in_namespace("a").len(), 1);
    }

    #[test]
    fn an_answer_never_puts_the_clock_back() {
        let at = |version: &str| {
            let Stored(object) = map("a", "one");
            let mut object = object.unwrap();
            object.metadata.resource_version = Some(version.into());
            Stored(Ok(object))
        };
        let store = Store::<ConfigMap>::default();
        store.refresh(at("1"));
        assert!(store.names().is_empty());
        store.take_in(None, News::Applied(at("9")));
        store.refresh(at("10"));
        store.refresh(at("8"));
        let kept = store.get(&Name::new("a", "one")).unwrap();
        assert_eq!(kept.metadata.resource_version.as_deref(), Some("10"));
    }

    #[test]
    fn a_misfit_is_seen_but_not_given() {
        let store = Store::<ConfigMap>::default();
        let metadata = ObjectMeta {
            name: Some("odd".into()),
            ..ObjectMeta::default()
        };
        let odd = Stored(Err(Misfit {
            error: "no".into(),
            metadata,
        }));
        let changes = store.take_in(None, News::Applied(odd));
        assert!(changes[0].new.is_none());
        assert!(store.get(&Name::new("", "odd")).is_none());
        assert!(matches!(store.seen(&Name::new("", "odd")), Some(Seen::Misfit(_))));
    }
}
