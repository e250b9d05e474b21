//! What a key holds. Hashes keep the order of insertion, as small ones do in a server; a sorted set
//! is ordered by score and then by bytes. Linear search: the sets of a simulated run are small.

use std::collections::VecDeque;

/// A value of a key.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Bytes.
    String(Vec<u8>),
    /// Fields.
    Hash(Hash),
    /// Members with scores.
    Sorted(Sorted),
    /// A list.
    List(VecDeque<Vec<u8>>),
    /// Members.
    Set(std::collections::BTreeSet<Vec<u8>>),
}

impl Value {
    /// Its name, as TYPE tells it.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "string",
            Self::Hash(_) => "hash",
            Self::Sorted(_) => "zset",
            Self::List(_) => "list",
            Self::Set(_) => "set",
        }
    }

    /// Whether nothing is left in it: such a key is gone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::String(_) => false,
            Self::Hash(hash) => hash.0.is_empty(),
            Self::Sorted(sorted) => sorted.0.is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Set(set) => set.is_empty(),
        }
    }
}

/// Fields in order of insertion.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Hash(pub Vec<(Vec<u8>, Vec<u8>)>);

impl Hash {
    /// The field's value.
    #[must_use]
    pub fn get(&self, field: &[u8]) -> Option<&Vec<u8>> {
        self.0.iter().find(|(name, _)| name == field).map(|(_, value)| value)
    }

    /// Sets a field; whether it is new.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        match self.0.iter_mut().find(|(name, _)| name == field) {
            Some((_, old)) => {
                value.clone_into(old);
                false
            }
            None => {
                self.0.push((field.to_vec(), value.to_vec()));
                true
            }
        }
    }

    /// Removes a field; whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let before = self.0.len();
        self.0.retain(|(name, _)| name != field);
        self.0.len() < before
    }
}

/// Members by score, then by bytes.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Sorted(pub Vec<(f64, Vec<u8>)>);

impl Sorted {
    /// The member's score.
    #[must_use]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.0.iter().find(|(_, name)| name == member).map(|(score, _)| *score)
    }

    /// The member's place.
    #[must_use]
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        self.0.iter().position(|(_, name)| name == member)
    }

    /// Sets a member's score.
    pub fn set(&mut self, member: &[u8], score: f64) {
        self.remove(member);
        let at = self.0.partition_point(|(other, name)| {
            other.total_cmp(&score).then_with(|| name.as_slice().cmp(member)).is_lt()
        });
        self.0.insert(at, (score, member.to_vec()));
    }

    /// Removes a member; whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self.rank(member) {
            Some(at) => {
                self.0.remove(at);
                true
            }
            None => false,
        }
    }
}
