//! A tree of computed beginnings of prompts, by whole blocks of positions. It says what there is, who is computing
//! what, and which block has been idle longest; it holds no lock and counts no memory.
//!
//! A node stands for one block of tokens after all those on its path. Keys and values of a position depend on the
//! tokens up to it and on nothing else, so whoever comes to a node may use its block. Only the last node of a path
//! may have fewer tokens than a block has positions; what lies behind them in its block means nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use super::cache::Block;

/// A place in the tree. It stays valid as long as somebody holds the node's block or computes it.
pub(super) type Node = usize;
/// Before the first token.
pub(super) const ROOT: Node = 0;

/// Computed beginnings of prompts, for one publication of weights.
pub(super) struct Prefixes {
    nodes: Vec<Entry>,
    /// Places in `nodes` to be used again.
    vacant: Vec<Node>,
    /// Nodes without children, those idle longest first.
    leaves: BTreeSet<(u64, Node)>,
    clock: u64,
}

#[derive(Default)]
struct Entry {
    parent: Node,
    tokens: Box<[u32]>,
    /// `None` while a row computes it; the root has none.
    block: Option<Arc<Block>>,
    children: BTreeMap<Box<[u32]>, Node>,
    used: u64,
}

/// What there is for the next block of a prompt.
pub(super) enum Next {
    /// Computed.
    Ready(Node, Arc<Block>),
    /// A row is computing it.
    Busy,
    /// Nobody has come here.
    Absent,
}

impl Prefixes {
    pub(super) fn new() -> Prefixes {
        Prefixes { nodes: vec![Entry::default()], vacant: Vec::new(), leaves: BTreeSet::new(), clock: 0 }
    }

    /// Looks for exactly `tokens` after `at`.
    pub(super) fn next(&mut self, at: Node, tokens: &[u32]) -> Next {
        let Some(&node) = self.nodes[at].children.get(tokens) else { return Next::Absent };
        let Some(block) = self.nodes[node].block.clone() else { return Next::Busy };
        self.touch(node);
        Next::Ready(node, block)
    }

    /// The computed block after `at` that begins with most of `tokens`, and how many.
    pub(super) fn nearest(&self, at: Node, tokens: &[u32]) -> Option<(usize, Arc<Block>)> {
        let children = &self.nodes[at].children;
        // In lexicographic order the longest common beginning is a neighbour's, among those that are computed.
        let computed = |(key, node): (&[u32], Node)| {
            let n = key.iter().zip(tokens).take_while(|(ours, theirs)| ours == theirs).count();
            self.nodes[node].block.clone().filter(|_| 0 < n).map(|block| (n, block))
        };
        let before = children.range::<[u32], _>((Bound::Unbounded, Bound::Included(tokens))).rev();
        let after = children.range::<[u32], _>((Bound::Excluded(tokens), Bound::Unbounded));
        let shares = |(key, _): &(&[u32], Node)| key.first() == tokens.first();
        let before = before.map(|(key, &node)| (&**key, node)).take_while(shares).find_map(computed);
        let after = after.map(|(key, &node)| (&**key, node)).take_while(shares).find_map(computed);
        [before, after].into_iter().flatten().max_by_key(|(n, _)| *n)
    }

    /// Notes that a row computes `tokens` after `at`, which nobody else does.
    ///
    /// # Panics
    /// If the node is there.
    pub(super) fn claim(&mut self, at: Node, tokens: &[u32]) -> Node {
        let entry = Entry { parent: at, tokens: tokens.into(), ..Entry::default() };
        let node = match self.vacant.pop() {
            Some(node) => {
                self.nodes[node] = entry;
                node
            }
            None => {
                self.nodes.push(entry);
                self.nodes.len() - 1
            }
        };
        let parent = &mut self.nodes[at];
        if parent.children.is_empty() {
            self.leaves.remove(&(parent.used, at));
        }
        let before = parent.children.insert(tokens.into(), node);
        assert!(before.is_none(), "a node is claimed once");
        self.leaves.insert((0, node));
        self.touch(node);
        node
    }

    /// Gives a claimed node what was computed for it.
    pub(super) fn fill(&mut self, node: Node, block: Arc<Block>) {
        let before = self.nodes[node].block.replace(block);
        assert!(before.is_none(), "a node is computed once");
        self.touch(node);
    }

    /// Takes a claim back: somebody else may compute it. Claims below are taken back before.
    pub(super) fn abandon(&mut self, node: Node) {
        assert!(self.nodes[node].block.is_none() && self.nodes[node].children.is_empty());
        self.remove(node);
    }

    /// Forgets the block that has been idle longest and returns it, if there is any that nobody else holds and on
    /// which no other block stands.
    pub(super) fn evict(&mut self) -> Option<Block> {
        let idle = |&(_, node): &(u64, Node)| {
            self.nodes[node].block.as_ref().is_some_and(|block| Arc::strong_count(block) == 1)
        };
        let &(_, node) = self.leaves.iter().find(|leaf| idle(leaf))?;
        let block = self.remove(node).expect("an idle node is computed");
        Some(Arc::into_inner(block).expect("nobody else holds an idle block, and only the tree hands it out"))
    }

    fn touch(&mut self, node: Node) {
        self.clock += 1;
        let entry = &mut self.nodes[node];
        if self.leaves.remove(&(entry.used, node)) {
            self.leaves.insert((self.clock, node));
        }
        entry.used = self.clock;
    }

    fn remove(&mut self, node: Node) -> Option<Arc<Block>> {
        let Entry { parent, tokens, block, used, .. } = std::mem::take(&mut self.nodes[node]);
        self.leaves.remove(&(used, node));
        self.vacant.push(node);
        let above = &mut self.nodes[parent];
        above.children.remove(&tokens);
        if above.children.is_empty() && parent != ROOT {
            self.leaves.insert((above.used, parent));
        }
        block
    }
}

#[cfg(test)]
mod tests {
    use kelvin_core::seed::Seed;

    use super::*;
    use crate::sampler::cache::Shape;

    fn block() -> Arc<Block> {
        Arc::new(Block::new(Shape { n_layers: 1, n_heads: 1, head_dim: 1 }))
    }

    /// Computes `tokens` after `at` and leaves them to the tree.
    fn put(tree: &mut Prefixes, at: Node, tokens: &[u32]) -> Node {
        let node = tree.claim(at, tokens);
        tree.fill(node, block());
        node
    }

    #[test]
    fn a_claim_is_busy_until_it_is_filled_or_abandoned() {
        let mut tree = Prefixes::new();
        assert!(matches!(tree.next(ROOT, &[1, 2]), Next::Absent));
        let first = tree.claim(ROOT, &[1, 2]);
        let second = tree.claim(first, &[3]);
        assert!(matches!(tree.next(ROOT, &[1, 2]), Next::Busy));
        assert!(tree.nearest(ROOT, &[1, 2]).is_none() && tree.evict().is_none());
        tree.abandon(second);
        let own = block();
        tree.fill(first, own.clone());
        assert!(matches!(tree.next(ROOT, &[1, 2]), Next::Ready(node, _) if node == first));
        assert!(matches!(tree.next(first, &[3]), Next::Absent));
        assert!(tree.evict().is_none(), "a row holds it");
        drop(own);
        assert!(tree.evict().is_some() && tree.evict().is_none());
        assert!(matches!(tree.next(ROOT, &[1, 2]), Next::Absent));
    }

    #[test]
    fn leaves_go_first_and_the_longest_idle_of_them() {
        let mut tree = Prefixes::new();
        let stem = put(&mut tree, ROOT, &[1]);
        let (left, right) = (put(&mut tree, stem, &[2]), put(&mut tree, stem, &[3]));
        assert!(matches!(tree.next(stem, &[2]), Next::Ready(node, _) if node == left));
        assert!(tree.evict().is_some());
        assert!(matches!(tree.next(stem, &[3]), Next::Absent), "node {right} was idle longest");
        assert!(matches!(tree.next(stem, &[2]), Next::Ready(..)));
        assert!(tree.evict().is_some());
        assert!(matches!(tree.next(ROOT, &[1]), Next::Ready(..)));
        assert!(tree.evict().is_some() && tree.evict().is_none());
    }

    #[test]
    fn the_nearest_is_that_of_a_search_through_all() {
        for case in 0..200 {
            let mut draws = Seed::new(6).nth(case).draws();
            let mut tree = Prefixes::new();
            let mut computed: Vec<Vec<u32>> = Vec::new();
            for _ in 0..draws.below(12) {
                let tokens: Vec<u32> = (0..1 + draws.below(5)).map(|_| draws.below(3) as u32).collect();
                if !matches!(tree.next(ROOT, &tokens), Next::Absent) {
                    continue;
                }
                let node = tree.claim(ROOT, &tokens);
                if 0 < draws.below(4) {
                    tree.fill(node, block());
                    computed.push(tokens);
                }
            }
            let wanted: Vec<u32> = (0..1 + draws.below(5)).map(|_| draws.below(3) as u32).collect();
            let common = |it: &Vec<u32>| it.iter().zip(&wanted).take_while(|(a, b)| a == b).count();
            let best = computed.iter().map(common).max().filter(|&n| 0 < n);
            assert_eq!(tree.nearest(ROOT, &wanted).map(|(n, _)| n), best, "{computed:?} {wanted:?}");
        }
    }
}
