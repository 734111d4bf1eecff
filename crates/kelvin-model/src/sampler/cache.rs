//! Keys and values of one row, in blocks of 32 positions that grow by need.
//!
//! Blocks are shared between rows whose prompts begin alike and copied when one of them writes, so a common
//! beginning is computed and stored once however many completions it gets.

use std::sync::Arc;

use crate::{config::ModelConfig, kernels::ATTEND_BLOCK};

/// Positions of a block.
pub(super) const BLOCK: usize = ATTEND_BLOCK;
/// A cache line in floats; blocks start on one.
const LINE: usize = 16;

/// Where things lie in a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(super) n_layers: usize,
    pub(super) n_heads: usize,
    pub(super) head_dim: usize,
}

impl Shape {
    pub(crate) fn new(config: &ModelConfig) -> Shape {
        Shape {
            n_layers: config.num_hidden_layers,
            n_heads: config.num_key_value_heads,
            head_dim: config.head_dim,
        }
    }

    /// Floats of one head's keys in one block, which are also those of its values.
    pub(super) fn head_floats(self) -> usize {
        self.head_dim * BLOCK
    }

    /// Where the keys of a head start; its values follow them.
    pub(super) fn head_start(self, layer: usize, head: usize) -> usize {
        (layer * self.n_heads + head) * 2 * self.head_floats()
    }

    fn block_floats(self) -> usize {
        self.head_start(self.n_layers, 0)
    }

    /// Memory of a block, in bytes.
    pub(crate) fn block_bytes(self) -> usize {
        (self.block_floats() + LINE) * size_of::<f32>()
    }

    /// Blocks that hold `n` positions.
    pub(crate) fn blocks_for(self, n: usize) -> usize {
        n.div_ceil(BLOCK)
    }
}

/// Keys and values of all layers and heads at 32 positions. A head's keys are `[head_dim, 32]`, its values
/// `[32, head_dim]`: both products of attention then run along a row.
#[derive(Debug)]
pub(super) struct Block {
    floats: Box<[f32]>,
    /// Index of the first float on a cache line.
    start: usize,
}

impl Block {
    /// A block with unspecified content.
    pub(super) fn new(shape: Shape) -> Block {
        let floats = vec![0.0; shape.block_floats() + LINE].into_boxed_slice();
        let start = floats.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Block { floats, start }
    }

    pub(super) fn floats(&self) -> &[f32] {
        &self.floats[self.start..]
    }

    fn floats_mut(&mut self) -> &mut [f32] {
        &mut self.floats[self.start..]
    }
}

/// Blocks outside the budget, for rows that are scored one at a time.
pub(super) struct Pool {
    shape: Shape,
    free: Vec<Block>,
}

impl Pool {
    pub(super) fn new(shape: Shape) -> Pool {
        Pool { shape, free: Vec::new() }
    }

    fn take(&mut self) -> Block {
        self.free.pop().unwrap_or_else(|| Block::new(self.shape))
    }

    /// Takes back the blocks that nobody else holds.
    pub(super) fn give_back(&mut self, blocks: Vec<Arc<Block>>) {
        self.free.extend(blocks.into_iter().filter_map(Arc::into_inner));
    }
}

/// One row's keys and values.
#[derive(Debug, Default)]
pub(super) struct Cache {
    pub(super) blocks: Vec<Arc<Block>>,
}

impl Cache {
    /// Whether the block of `position` is present and this row's own.
    pub(super) fn is_writable(&self, position: usize) -> bool {
        self.blocks.get(position / BLOCK).is_some_and(|block| Arc::strong_count(block) == 1)
    }

    /// Makes `own` the block of `position`, with what a shared one in its place holds. Returns that one, of which
    /// the row no longer is a holder.
    pub(super) fn own(&mut self, position: usize, mut own: Block, shape: Shape) -> Option<Arc<Block>> {
        let index = position / BLOCK;
        debug_assert!(index <= self.blocks.len(), "positions come in order");
        let Some(shared) = self.blocks.get_mut(index) else {
            self.blocks.push(Arc::new(own));
            return None;
        };
        let len = shape.block_floats();
        own.floats_mut()[..len].copy_from_slice(&shared.floats()[..len]);
        Some(std::mem::replace(shared, Arc::new(own)))
    }

    /// Makes the block of `position` this row's own and present; the positions before it are.
    pub(super) fn make_writable(&mut self, position: usize, pool: &mut Pool) {
        if !self.is_writable(position) {
            let block = pool.take();
            let shared = self.own(position, block, pool.shape);
            pool.give_back(shared.into_iter().collect());
        }
    }

    /// Stores one position's keys and values of one layer: `[n_heads, head_dim]` each.
    ///
    /// # Panics
    /// If the position's block was not made writable.
    pub(super) fn write(
        &mut self,
        shape: Shape,
        layer: usize,
        position: usize,
        keys: &[f32],
        values: &[f32],
    ) {
        let block = Arc::get_mut(&mut self.blocks[position / BLOCK]).expect("the block was made writable");
        let floats = block.floats_mut();
        let lane = position % BLOCK;
        let heads = keys.chunks_exact(shape.head_dim).zip(values.chunks_exact(shape.head_dim));
        for (head, (key, value)) in heads.enumerate() {
            let both = &mut floats[shape.head_start(layer, head)..][..2 * shape.head_floats()];
            let (key_rows, value_rows) = both.split_at_mut(shape.head_floats());
            for (row, &key) in key_rows.chunks_exact_mut(BLOCK).zip(key) {
                row[lane] = key;
            }
            value_rows[lane * shape.head_dim..][..shape.head_dim].copy_from_slice(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { n_layers: 2, n_heads: 2, head_dim: 4 };

    #[test]
    fn a_copy_shares_until_it_writes() {
        let mut pool = Pool::new(SHAPE);
        let mut first = Cache::default();
        for position in 0..40 {
            first.make_writable(position, &mut pool);
            first.write(SHAPE, 1, position, &[position as f32; 8], &[-1.0; 8]);
        }
        let mut second = Cache { blocks: first.blocks.clone() };
        second.make_writable(40, &mut pool);
        second.write(SHAPE, 1, 40, &[9.5; 8], &[9.5; 8]);
        assert!(Arc::ptr_eq(&first.blocks[0], &second.blocks[0]));
        let key = |cache: &Cache, position: usize| {
            cache.blocks[position / BLOCK].floats()[SHAPE.head_start(1, 1)..][position % BLOCK]
        };
        assert_eq!((key(&second, 40), key(&second, 39), key(&first, 39)), (9.5, 39.0, 39.0));
        assert_ne!(key(&first, 40), 9.5);
        pool.give_back(second.blocks);
        assert_eq!(pool.free.len(), 1, "the shared block is still the first row's");
        pool.give_back(first.blocks);
        assert_eq!(pool.free.len(), 3);
    }

    #[test]
    fn blocks_start_on_a_cache_line() {
        let block = Block::new(SHAPE);
        assert_eq!(block.floats().as_ptr().align_offset(64), 0);
        assert!(SHAPE.block_floats() <= block.floats().len());
    }
}
