//! How far the tensors of a checkpoint are those of a network: for a person who wonders why a file
//! is not read.

use std::collections::BTreeMap;
use std::path::Path;

use crate::blueprint::Blueprint;
use crate::checkpoint::StateDict;
use crate::detector::MaskRcnn;
use crate::error::Result;
use crate::family;
use crate::weights::{ReadOptions, Weights};

/// Tensors beside those that a network is made of, under canonical names (torchvision's).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fit {
    /// The family of the network.
    pub family: String,
    /// How many tensors the network has.
    pub wanted: usize,
    /// Tensors that the checkpoint lacks, and their shapes; sorted by name, as the others are.
    pub missing: Vec<(String, Vec<i64>)>,
    /// Tensors of another shape: the one that the network has, and the one that was found.
    pub reshaped: Vec<(String, Vec<i64>, Vec<i64>)>,
    /// Tensors that the network does not have, and their shapes.
    pub left_over: Vec<(String, Vec<i64>)>,
}

impl Fit {
    /// Compares weights with the network that their blueprint describes.
    ///
    /// # Errors
    ///
    /// When libtorch fails.
    pub fn of(weights: &Weights) -> Result<Self> {
        Self::between(
            weights.family(),
            weights.tensors(),
            weights.blueprint().clone(),
        )
    }

    /// Compares the tensors of a file with the networks of all families: the comparison with the
    /// nearest one, of which the file has the most tensors. None when it has no tensor of any.
    ///
    /// # Errors
    ///
    /// When the file is no checkpoint, or libtorch fails.
    pub fn nearest(path: &Path, options: &ReadOptions) -> Result<Option<Self>> {
        let tensors = Weights::unwrapped(path, options)?;
        let mut readings = Vec::new();
        for reading in family::readings(&tensors) {
            let (family, tensors) = (reading.family, reading.tensors);
            readings.push(Self::between(family, &tensors, reading.blueprint)?);
        }
        let embedded = Weights::embedded()?;
        let (family, blueprint) = (embedded.family(), embedded.blueprint().clone());
        readings.push(Self::between(family, &tensors, blueprint)?);
        // Of equally near ones the first. A tensor of another shape is better than none.
        let nearness = |fit: &Self| (fit.wanted - fit.missing.len(), fit.fitting());
        let nearest = readings.into_iter().rev().max_by_key(nearness);
        Ok(nearest.filter(|fit| fit.missing.len() < fit.wanted))
    }

    fn between(family: &str, tensors: &StateDict, blueprint: Blueprint) -> Result<Self> {
        let wanted = MaskRcnn::requirements(blueprint)?;
        let (mut missing, mut reshaped) = (Vec::new(), Vec::new());
        for (name, expected) in &wanted {
            match tensors.shape(name) {
                None => missing.push((name.clone(), expected.clone())),
                Some(found) if found != expected => {
                    reshaped.push((name.clone(), expected.clone(), found.to_vec()));
                }
                Some(_) => (),
            }
        }
        let left_over = tensors
            .iter()
            .filter(|(name, _)| !wanted.contains_key(*name))
            .map(|(name, tensor)| (name.to_owned(), tensor.shape().to_vec()));
        Ok(Self {
            family: family.to_owned(),
            wanted: wanted.len(),
            left_over: left_over.collect(),
            missing,
            reshaped,
        })
    }

    /// How many tensors are there as the network has them.
    pub fn fitting(&self) -> usize {
        self.wanted - self.missing.len() - self.reshaped.len()
    }

    /// Whether the tensors are just those of the network.
    pub fn is_whole(&self) -> bool {
        self.fitting() == self.wanted && self.left_over.is_empty()
    }

    /// What would make the checkpoint fit, in words; none where it does.
    pub fn remedy(&self) -> Option<String> {
        if self.is_whole() {
            return None;
        }
        let is_of = |part: &'static str| move |(name, _): &(String, Vec<i64>)| name.contains(part);
        let lacks = |end: &str| self.missing.iter().any(|(name, _)| name.ends_with(end));
        let only_masks = self.missing.iter().all(is_of("roi_heads.mask_"))
            && lacks("conv5_mask.weight")
            && lacks("mask_fcn_logits.weight");
        let remedy = if self.missing.is_empty() && self.reshaped.is_empty() {
            "a file without the tensors that are left over".to_owned()
        } else if let Some(renamed) = self.renamed() {
            let pairs: Vec<_> = renamed
                .iter()
                .map(|(from, to)| format!("`{}` as `{to}`", from.escape_debug()))
                .collect();
            let more = if self.missing.len() > pairs.len() {
                ", …"
            } else {
                ""
            };
            format!("other names: {}{more}", pairs.join(", "))
        } else if only_masks && self.reshaped.is_empty() {
            "a mask head: it is a detector of boxes, which has none".to_owned()
        } else if self.missing.is_empty() {
            "a blueprint (`--blueprint`) with these sizes, where it has words for them".to_owned()
        } else {
            format!(
                "all {} tensors of the network: its whole `state_dict()`, saved with `torch.save`",
                self.wanted
            )
        };
        Some(remedy)
    }

    /// For the first missing tensors those that are left over and must be them: of shapes that as
    /// many of either have, in the order of their names. None where there are not enough.
    fn renamed<'s>(&'s self) -> Option<Vec<(&'s str, &'s str)>> {
        /// More are of no use to a reader.
        const SHOWN: usize = 3;
        let by_shape = |tensors: &[(String, Vec<i64>)]| {
            let mut names = BTreeMap::<Vec<i64>, Vec<usize>>::new();
            for (place, (_, shape)) in tensors.iter().enumerate() {
                names.entry(shape.clone()).or_default().push(place);
            }
            names
        };
        let (missing, left_over) = (by_shape(&self.missing), by_shape(&self.left_over));
        let same_counts = missing
            .iter()
            .all(|(shape, names)| left_over.get(shape).map(Vec::len) == Some(names.len()));
        if !same_counts || self.missing.is_empty() || !self.reshaped.is_empty() {
            return None;
        }
        let pair = |(place, (to, shape)): (usize, &'s (String, Vec<i64>))| {
            let nth = missing[shape].iter().position(|&other| other == place)?;
            Some((&*self.left_over[left_over[shape][nth]].0, &**to))
        };
        let pairs = self.missing.iter().enumerate().filter_map(pair);
        Some(pairs.take(SHOWN).collect())
    }
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    use super::*;

    /// The layout of a Matterport network with four classes as a person's training left it (a
    /// public notebook printed it), and the anchors that a file saved in training has as well.
    /// Its numbers are zeros.
    #[test]
    fn a_real_matterport_layout_is_taken_whole() {
        let layout = crate::fixture::fixture_path("parity/matterport-layout.tsv");
        let layout = std::fs::read_to_string(layout).unwrap() + "anchors/Variable:0\t1,8,4\n";
        let tensors: Vec<(&str, Vec<usize>)> = layout
            .lines()
            .map(|line| {
                let (name, shape) = line.split_once('\t').unwrap();
                (name, shape.split(',').map(|n| n.parse().unwrap()).collect())
            })
            .collect();
        assert_eq!(tensors.len(), 587);
        let largest = tensors.iter().map(|(_, shape)| shape.iter().product());
        let zeros = vec![0; 4 * largest.max().unwrap_or(0usize)];
        let views = tensors.iter().map(|(name, shape)| {
            let len = 4 * shape.iter().product::<usize>();
            let view = TensorView::new(Dtype::F32, shape.clone(), &zeros[..len]);
            (*name, view.unwrap())
        });
        let bytes = safetensors::serialize(views, None).unwrap();
        let weights = Weights::from_bytes(bytes).unwrap();
        assert_eq!(
            (weights.family(), weights.labels().count()),
            ("matterport", 3)
        );
        let fit = Fit::of(&weights).unwrap();
        assert!(fit.is_whole(), "{fit:?}");
        assert_eq!(fit.remedy(), None);
    }
}
