//! Topic exchange: patterns of words between dots, `*` for exactly one word, `#` for any number.
//!
//! Follows `rabbit_exchange_type_topic` (3.10) to the letter: the empty key is zero words
//! (`split_topic_key(<<>>) -> []`), `a..b` has an empty word in the middle and `a.` one at the end,
//! and a wildcard stands for itself only as a whole word: `critical*` is a literal word.
//!
//! RabbitMQ walks its trie by backtracking, which takes exponential time for patterns such as
//! `#.a.#.a.#.a` against `a.a.a.a…`. Here the whole set of nodes that the words so far can reach
//! moves on word by word, and holds each node once: no message costs more than its words times the
//! nodes that they reach.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashSet, HashTable};
use smallvec::SmallVec;

use super::destinations::{Destinations, Distinct};

#[derive(Clone, Debug)]
pub(super) struct Topic<D> {
    root: Node<D>,
    /// One for all nodes, so that a word is hashed once however many nodes it is looked up at.
    hasher: DefaultHashBuilder,
}

impl<D> Default for Topic<D> {
    fn default() -> Self {
        Topic { root: Node::new(false), hasher: DefaultHashBuilder::default() }
    }
}

/// A node stands for the words of a pattern up to here.
#[derive(Clone, Debug)]
struct Node<D> {
    words: HashTable<Box<Child<D>>>,
    star: Option<Box<Node<D>>>,
    hash: Option<Box<Node<D>>>,
    /// A `#` stands before: different stretches of the key can lead here, so that [`Reached`] must
    /// expect this node's own `#` more than once.
    repeats: bool,
    /// Of the bindings whose pattern ends here.
    destinations: Destinations<D>,
}

#[derive(Clone, Debug)]
struct Child<D> {
    word: Box<str>,
    node: Node<D>,
}

/// The words of a routing key or pattern.
fn words(key: &str) -> impl Iterator<Item = &str> {
    // `str::split` finds one empty word in the empty text, where RabbitMQ finds none.
    key.split('.').filter(move |_| !key.is_empty())
}

impl<D: Clone + Eq + Hash> Topic<D> {
    pub(super) fn insert(&mut self, pattern: &str, destination: &D) {
        let (mut node, hasher) = (&mut self.root, &self.hasher);
        for word in words(pattern) {
            let repeats = node.repeats || word == "#";
            let child = match word {
                "*" => node.star.get_or_insert_with(|| Box::new(Node::new(repeats))),
                "#" => node.hash.get_or_insert_with(|| Box::new(Node::new(repeats))),
                _ => {
                    let entry = node.words.entry(
                        hasher.hash_one(word),
                        |child| *child.word == *word,
                        |child| hasher.hash_one(&*child.word),
                    );
                    let new = || Box::new(Child { word: word.into(), node: Node::new(repeats) });
                    &mut entry.or_insert_with(new).into_mut().node
                }
            };
            node = child;
        }
        node.destinations.add(destination);
    }

    pub(super) fn remove(&mut self, pattern: &str, destination: &D) {
        self.root.remove(words(pattern), destination, &self.hasher);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    pub(super) fn route<'a>(&'a self, routing_key: &str, emit: &mut impl FnMut(&'a D)) {
        let mut reached = Reached::new(&self.root);
        for word in words(routing_key) {
            reached.advance(word, self.hasher.hash_one(word));
        }
        let mut distinct = Distinct::new(emit);
        for node in reached.nodes() {
            node.destinations.iter().for_each(|destination| distinct.emit(destination));
        }
    }
}

impl<D> Node<D> {
    fn new(repeats: bool) -> Self {
        Node {
            words: HashTable::new(),
            star: None,
            hash: None,
            repeats,
            destinations: Destinations::default(),
        }
    }
}

impl<D: Clone + Eq + Hash> Node<D> {
    /// Removes the destination at the end of the pattern, and on the way back every node left empty.
    fn remove<'w>(
        &mut self,
        mut words: impl Iterator<Item = &'w str>,
        destination: &D,
        hasher: &DefaultHashBuilder,
    ) {
        match words.next() {
            None => self.destinations.remove(destination),
            Some("*") => Self::remove_below(&mut self.star, words, destination, hasher),
            Some("#") => Self::remove_below(&mut self.hash, words, destination, hasher),
            Some(word) => {
                let found = self.words.find_entry(hasher.hash_one(word), |child| *child.word == *word);
                if let Ok(mut entry) = found {
                    let child = &mut entry.get_mut().node;
                    child.remove(words, destination, hasher);
                    if child.is_empty() {
                        entry.remove();
                    }
                }
            }
        }
    }

    fn remove_below<'w>(
        child: &mut Option<Box<Self>>,
        words: impl Iterator<Item = &'w str>,
        destination: &D,
        hasher: &DefaultHashBuilder,
    ) {
        if let Some(node) = child {
            node.remove(words, destination, hasher);
            if node.is_empty() {
                *child = None;
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.words.is_empty() && self.star.is_none() && self.hash.is_none() && self.destinations.is_empty()
    }
}

/// The nodes that the words so far can reach, each once.
///
/// A `#` node stays reached, as it takes any further word. Every other node has one parent and one
/// word that leads to it, so it comes up once per step because its parent did. What is left to watch
/// is a `#` node whose parent comes up in several steps: `seen` holds those, and stays empty (and
/// unallocated) for patterns with one `#`.
struct Reached<'a, D> {
    nodes: Nodes<'a, D>,
    hashes: Nodes<'a, D>,
    seen: HashSet<*const Node<D>>,
    spare: Nodes<'a, D>,
}

/// Most messages reach fewer than this at a time, and allocate nothing.
type Nodes<'a, D> = SmallVec<[&'a Node<D>; 8]>;

impl<'a, D> Reached<'a, D> {
    fn new(root: &'a Node<D>) -> Self {
        let mut reached =
            Reached { nodes: Nodes::new(), hashes: Nodes::new(), seen: HashSet::new(), spare: Nodes::new() };
        reached.enter(root);
        reached
    }

    /// Reaches a node, and with it the `#` below it, which takes zero words too.
    fn enter(&mut self, node: &'a Node<D>) {
        self.nodes.push(node);
        let mut parent = node;
        while let Some(hash) = parent.hash.as_deref() {
            if parent.repeats && !self.seen.insert(hash) {
                break;
            }
            self.hashes.push(hash);
            parent = hash;
        }
    }

    fn advance(&mut self, word: &str, hash: u64) {
        let mut from = std::mem::replace(&mut self.nodes, std::mem::take(&mut self.spare));
        // A `#` reached by this word has not seen it.
        let hashes = self.hashes.len();
        for &node in &from {
            self.follow(node, word, hash);
        }
        for index in 0..hashes {
            self.follow(self.hashes[index], word, hash);
        }
        from.clear();
        self.spare = from;
    }

    fn follow(&mut self, node: &'a Node<D>, word: &str, hash: u64) {
        if let Some(child) = node.words.find(hash, |child| *child.word == *word) {
            self.enter(&child.node);
        }
        if let Some(child) = node.star.as_deref() {
            self.enter(child);
        }
    }

    fn nodes(&self) -> impl Iterator<Item = &'a Node<D>> {
        self.nodes.iter().chain(&self.hashes).copied()
    }
}
