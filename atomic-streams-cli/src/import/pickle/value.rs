//! What a pickle has built.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// Where a value lies in its tree.
pub(super) type Place = u32;

#[derive(Clone, Debug)]
pub(super) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// Above what an `i64` holds.
    Large(u64),
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    List(Vec<Place>),
    Tuple(Vec<Place>),
    Set(Vec<Place>),
    FrozenSet(Vec<Place>),
    Dict(Vec<(Place, Place)>),
    /// What makes a set or bytes in older protocols; never called, and no value by itself.
    Maker(Maker),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    Set,
    FrozenSet,
    Bytes,
    Encode,
}

impl Maker {
    /// The few names that stand for plain values.
    pub fn named(module: &str, name: &str) -> Option<Self> {
        match (module, name) {
            ("builtins" | "__builtin__", "set") => Some(Self::Set),
            ("builtins" | "__builtin__", "frozenset") => Some(Self::FrozenSet),
            ("builtins" | "__builtin__", "bytes") => Some(Self::Bytes),
            ("_codecs", "encode") => Some(Self::Encode),
            _ => None,
        }
    }

    pub fn full_name(self) -> (&'static str, &'static str) {
        match self {
            Self::Set => ("builtins", "set"),
            Self::FrozenSet => ("builtins", "frozenset"),
            Self::Bytes => ("builtins", "bytes"),
            Self::Encode => ("_codecs", "encode"),
        }
    }
}

/// A value, and everything in it. It is not deeper than can be stored and has no cycle.
#[derive(Clone, Debug)]
pub struct Tree<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) root: Place,
}

impl<'a> Tree<'a> {
    pub fn value(&self) -> Value<'_, 'a> {
        Value { tree: self, at: self.root }
    }

    pub(super) fn node(&self, at: Place) -> &Node<'a> {
        &self.nodes[at as usize]
    }
}

/// One value of a tree. Serialized, tuples and sets are arrays, and dicts maps.
#[derive(Clone, Copy, Debug)]
pub struct Value<'t, 'a> {
    tree: &'t Tree<'a>,
    at: Place,
}

impl Value<'_, '_> {
    /// Its type, as Python calls it, and how much it holds.
    pub fn kind(self) -> String {
        let many = |kind: &str, entries: usize| format!("{kind} of {entries}");
        match self.tree.node(self.at) {
            Node::None => "None".to_owned(),
            Node::Bool(_) => "bool".to_owned(),
            Node::Int(_) | Node::Large(_) => "int".to_owned(),
            Node::Float(_) => "float".to_owned(),
            Node::Text(_) => "str".to_owned(),
            Node::Bytes(_) => "bytes".to_owned(),
            Node::List(held) => many("list", held.len()),
            Node::Tuple(held) => many("tuple", held.len()),
            Node::Set(held) => many("set", held.len()),
            Node::FrozenSet(held) => many("frozenset", held.len()),
            Node::Dict(held) => many("dict", held.len()),
            Node::Maker(_) => "type".to_owned(),
        }
    }
}

impl Serialize for Value<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let of = |at: &Place| Value { tree: self.tree, at: *at };
        match self.tree.node(self.at) {
            Node::None => serializer.serialize_unit(),
            Node::Bool(value) => serializer.serialize_bool(*value),
            Node::Int(value) => serializer.serialize_i64(*value),
            Node::Large(value) => serializer.serialize_u64(*value),
            Node::Float(value) => serializer.serialize_f64(*value),
            Node::Text(value) => serializer.serialize_str(value),
            Node::Bytes(value) => serializer.serialize_bytes(value),
            Node::List(held) | Node::Tuple(held) | Node::Set(held) | Node::FrozenSet(held) => {
                let mut array = serializer.serialize_seq(Some(held.len()))?;
                held.iter().try_for_each(|at| array.serialize_element(&of(at)))?;
                array.end()
            }
            Node::Dict(held) => {
                let mut map = serializer.serialize_map(Some(held.len()))?;
                held.iter().try_for_each(|(key, value)| map.serialize_entry(&of(key), &of(value)))?;
                map.end()
            }
            Node::Maker(_) => Err(serde::ser::Error::custom("it is no value")),
        }
    }
}
