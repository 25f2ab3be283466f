//! Walker's alias method: a random choice by shares in constant time.

/// Columns of equal width, each split between two nodes.
#[derive(Debug, Default)]
pub(crate) struct Columns(Vec<Column>);

#[derive(Debug, Clone, Copy)]
struct Column {
    /// How much of the column belongs to `lower`, in units of 2^-32 of its width.
    split: u64,
    lower: u32,
    upper: u32,
}

/// A whole column.
const WIDTH: f64 = 4_294_967_296.0;

impl Columns {
    /// A table of `(node, share)`; shares in any unit, not negative. All zero: all alike.
    pub(crate) fn new(shares: &[(u32, f64)]) -> Self {
        let total: f64 = shares.iter().map(|&(_, share)| share).sum();
        let count = shares.len() as f64;
        let height = |share: f64| if total > 0.0 { share * count / total } else { 1.0 };
        let mut heights: Vec<f64> = shares.iter().map(|&(_, share)| height(share)).collect();
        let whole = |&(node, _): &(u32, f64)| Column { split: WIDTH as u64, lower: node, upper: node };
        let mut columns: Vec<Column> = shares.iter().map(whole).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..shares.len()).partition(|&at| heights[at] < 1.0);
        while let (Some(&poor), Some(&rich)) = (small.last(), large.last()) {
            small.pop();
            columns[poor].split = (heights[poor] * WIDTH) as u64;
            columns[poor].upper = shares[rich].0;
            heights[rich] -= 1.0 - heights[poor];
            if heights[rich] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        // What is left over is full up to rounding, unless its node has no share: then it is a rounding error itself.
        for at in small {
            if shares[at].1 == 0.0 && total > 0.0 {
                let anyone = shares.iter().find(|&&(_, share)| share > 0.0).map_or(shares[at].0, |&(node, _)| node);
                columns[at] = Column { split: 0, lower: anyone, upper: anyone };
            }
        }
        Self(columns)
    }

    /// The node at some random bits: the upper half says which column, the lower half where in it.
    #[inline]
    pub(crate) fn at(&self, random: u64) -> Option<u32> {
        let at = ((random >> 32) * self.0.len() as u64) >> 32;
        let column = self.0.get(at as usize)?;
        Some(if random & 0xFFFF_FFFF < column.split { column.lower } else { column.upper })
    }

    /// What each node gets, by summing the table up. Node index to share of 1.
    #[cfg(test)]
    pub(crate) fn sum(&self) -> std::collections::BTreeMap<u32, f64> {
        let mut sum = std::collections::BTreeMap::new();
        for column in &self.0 {
            let lower = column.split as f64 / WIDTH / self.0.len() as f64;
            *sum.entry(column.lower).or_default() += lower;
            *sum.entry(column.upper).or_default() += 1.0 / self.0.len() as f64 - lower;
        }
        sum
    }
}
