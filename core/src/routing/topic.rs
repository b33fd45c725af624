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

use std::hash::Hash;

use hashbrown::{HashMap, HashSet};

use super::destinations::{Destinations, Distinct};

#[derive(Clone, Debug)]
pub(super) struct Topic<D> {
    root: Node<D>,
}

impl<D> Default for Topic<D> {
    fn default() -> Self {
        Topic { root: Node::new(false) }
    }
}

/// A node stands for the words of a pattern up to here.
#[derive(Clone, Debug)]
struct Node<D> {
    words: HashMap<Box<str>, Box<Node<D>>>,
    star: Option<Box<Node<D>>>,
    hash: Option<Box<Node<D>>>,
    /// A `#` stands before: different stretches of the key can lead here, so that [`Reached`] must
    /// expect this node's own `#` more than once.
    repeats: bool,
    /// Of the bindings whose pattern ends here.
    destinations: Destinations<D>,
}

/// The words of a routing key or pattern.
fn words(key: &str) -> impl Iterator<Item = &str> {
    // `str::split` finds one empty word in the empty text, where RabbitMQ finds none.
    key.split('.').filter(move |_| !key.is_empty())
}

impl<D: Clone + Eq + Hash> Topic<D> {
    pub(super) fn insert(&mut self, pattern: &str, destination: &D) {
        let mut node = &mut self.root;
        for word in words(pattern) {
            let repeats = node.repeats || word == "#";
            let child = match word {
                "*" => node.star.get_or_insert_with(|| Box::new(Node::new(repeats))),
                "#" => node.hash.get_or_insert_with(|| Box::new(Node::new(repeats))),
                _ => node.words.entry(word.into()).or_insert_with(|| Box::new(Node::new(repeats))),
            };
            node = child;
        }
        node.destinations.add(destination);
    }

    pub(super) fn remove(&mut self, pattern: &str, destination: &D) {
        self.root.remove(words(pattern), destination);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    pub(super) fn route<'a>(&'a self, routing_key: &str, emit: &mut impl FnMut(&'a D)) {
        let mut reached = Reached::new(&self.root);
        for word in words(routing_key) {
            reached.advance(word);
        }
        let mut distinct = Distinct::new(emit);
        for node in reached.nodes() {
            node.destinations.iter().for_each(|destination| distinct.emit(destination));
        }
    }
}

impl<D> Node<D> {
    fn new(repeats: bool) -> Self {
        Node { words: HashMap::new(), star: None, hash: None, repeats, destinations: Destinations::default() }
    }
}

impl<D: Clone + Eq + Hash> Node<D> {
    /// Removes the destination at the end of the pattern, and on the way back every node left empty.
    fn remove<'w>(&mut self, mut words: impl Iterator<Item = &'w str>, destination: &D) {
        match words.next() {
            None => self.destinations.remove(destination),
            Some("*") => Self::remove_below(&mut self.star, words, destination),
            Some("#") => Self::remove_below(&mut self.hash, words, destination),
            Some(word) => {
                if let Some(child) = self.words.get_mut(word) {
                    child.remove(words, destination);
                    if child.is_empty() {
                        self.words.remove(word);
                    }
                }
            }
        }
    }

    fn remove_below<'w>(
        child: &mut Option<Box<Self>>,
        words: impl Iterator<Item = &'w str>,
        destination: &D,
    ) {
        if let Some(node) = child {
            node.remove(words, destination);
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
    nodes: Vec<&'a Node<D>>,
    hashes: Vec<&'a Node<D>>,
    seen: HashSet<*const Node<D>>,
    spare: Vec<&'a Node<D>>,
}

impl<'a, D> Reached<'a, D> {
    fn new(root: &'a Node<D>) -> Self {
        let mut reached =
            Reached { nodes: Vec::new(), hashes: Vec::new(), seen: HashSet::new(), spare: Vec::new() };
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

    fn advance(&mut self, word: &str) {
        let mut from = std::mem::replace(&mut self.nodes, std::mem::take(&mut self.spare));
        // A `#` reached by this word has not seen it.
        let hashes = self.hashes.len();
        for &node in &from {
            self.follow(node, word);
        }
        for index in 0..hashes {
            self.follow(self.hashes[index], word);
        }
        from.clear();
        self.spare = from;
    }

    fn follow(&mut self, node: &'a Node<D>, word: &str) {
        if let Some(child) = node.words.get(word) {
            self.enter(child);
        }
        if let Some(child) = node.star.as_deref() {
            self.enter(child);
        }
    }

    fn nodes(&self) -> impl Iterator<Item = &'a Node<D>> {
        self.nodes.iter().chain(&self.hashes).copied()
    }
}
