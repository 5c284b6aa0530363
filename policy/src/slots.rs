//! Sets of peers that mostly have one member.

use roaring::RoaringBitmap;

/// A set of slots. A bitmap takes some hundred bytes for its first member; one slot alone is kept as it is.
#[derive(Clone, Debug, Default)]
pub(crate) enum Slots {
    #[default]
    None,
    One(u32),
    /// At least two.
    Many(Box<RoaringBitmap>),
}

impl Slots {
    pub(crate) fn insert(&mut self, slot: u32) {
        match self {
            Self::None => *self = Self::One(slot),
            Self::One(known) if *known == slot => {}
            Self::One(known) => *self = Self::Many(Box::new([*known, slot].into_iter().collect())),
            Self::Many(known) => _ = known.insert(slot),
        }
    }

    pub(crate) fn remove(&mut self, slot: u32) {
        match self {
            Self::One(known) if *known == slot => *self = Self::None,
            Self::Many(known) => {
                known.remove(slot);
                if known.len() == 1
                    && let Some(last) = known.min()
                {
                    *self = Self::One(last);
                }
            }
            Self::None | Self::One(_) => {}
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Adds these slots to others.
    pub(crate) fn add_to(&self, all: &mut RoaringBitmap) {
        match self {
            Self::None => {}
            Self::One(slot) => _ = all.insert(*slot),
            Self::Many(slots) => *all |= &**slots,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_a_set(steps in prop::collection::vec((any::<bool>(), 0..4u32), 0..30), others in 0..6u32) {
            let (mut slots, mut model) = (Slots::default(), BTreeSet::new());
            for (comes, slot) in steps {
                if comes {
                    slots.insert(slot);
                    model.insert(slot);
                } else {
                    slots.remove(slot);
                    model.remove(&slot);
                }
                prop_assert_eq!(slots.is_empty(), model.is_empty());
                prop_assert_eq!(matches!(slots, Slots::Many(_)), model.len() > 1);
                let mut all: RoaringBitmap = [others].into_iter().collect();
                slots.add_to(&mut all);
                let expected: BTreeSet<u32> = model.iter().copied().chain([others]).collect();
                prop_assert!(all.iter().eq(expected));
            }
        }
    }
}
