//! How large a value is when it is written out, and whether it can be.

use atomic_streams::persist::{MAX_DEPTH, MAX_FIELD_BYTES};

use super::value::{Node, Place, Tree};
use super::{MAX_WRITTEN, Refusal};

/// A value with everything in it, each thing wherever it lies.
#[derive(Clone, Copy, Debug)]
struct Extent {
    /// How many values contain each other at most, itself included if it can contain any.
    depth: usize,
    values: u64,
    bytes: u64,
}

/// What is known of a place.
#[derive(Clone, Copy)]
enum Known {
    Nothing,
    /// It is being looked at: whoever comes back to it has come round.
    Open,
    Is(Extent),
}

/// Refuses what is too deep or too large to be stored, lies within itself, or is no value.
pub fn measure(tree: &Tree<'_>) -> Result<(), Refusal> {
    let mut known = vec![Known::Nothing; tree.nodes.len()];
    extent(tree, tree.root, 0, &mut known).map(drop)
}

/// Goes no deeper than a value may be.
fn extent(tree: &Tree<'_>, at: Place, above: usize, known: &mut [Known]) -> Result<Extent, Refusal> {
    let too_deep = || Refusal::new(format!("it is nested more than {MAX_DEPTH} deep"));
    match known[at as usize] {
        Known::Is(extent) if above + extent.depth > MAX_DEPTH => return Err(too_deep()),
        Known::Is(extent) => return Ok(extent),
        Known::Open => return Err(Refusal::new("it holds itself")),
        Known::Nothing => known[at as usize] = Known::Open,
    }
    let own = match tree.node(at) {
        Node::Text(text) => text.len() as u64,
        Node::Bytes(bytes) => bytes.len() as u64,
        Node::Maker(maker) => {
            let (module, name) = maker.full_name();
            return Err(Refusal::of_type(module, name));
        }
        _ => 0,
    };
    let mut sum = Extent { depth: 0, values: 1, bytes: own };
    let mut add = |held: Place, known: &mut [Known]| -> Result<(), Refusal> {
        let held = extent(tree, held, above + 1, known)?;
        sum.depth = sum.depth.max(held.depth);
        sum.values = sum.values.saturating_add(held.values);
        sum.bytes = sum.bytes.saturating_add(held.bytes);
        if sum.values > MAX_WRITTEN {
            return Err(Refusal::new(format!("written out, it has more than {MAX_WRITTEN} values")));
        }
        if sum.bytes > MAX_FIELD_BYTES as u64 {
            return Err(Refusal::new(format!("written out, it has more than {MAX_FIELD_BYTES} bytes")));
        }
        Ok(())
    };
    let contains = match tree.node(at) {
        Node::List(held) | Node::Tuple(held) | Node::Set(held) | Node::FrozenSet(held) => {
            if above >= MAX_DEPTH && !held.is_empty() {
                return Err(too_deep());
            }
            held.iter().try_for_each(|held| add(*held, known))?;
            !held.is_empty()
        }
        Node::Dict(held) => {
            if above >= MAX_DEPTH && !held.is_empty() {
                return Err(too_deep());
            }
            held.iter().try_for_each(|(key, value)| add(*key, known).and_then(|()| add(*value, known)))?;
            !held.is_empty()
        }
        _ => false,
    };
    sum.depth += usize::from(contains);
    known[at as usize] = Known::Is(sum);
    Ok(sum)
}
