//! By which a network is found among names: tensors that every network of a family has, spread over
//! it, and what stands before and between the parts of their names.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use crate::checkpoint::Candidate;

/// Names of tensors, spread over the networks of all families and over each network, so that they
/// are found where a part is wrapped. Where most of them are is the network.
pub(super) const LANDMARKS: [&str; 28] = [
    // torchvision's; the heads' are the compact network's too, the box predictor's detectron2's.
    "backbone.body.conv1.weight",
    "backbone.body.bn1.running_mean",
    "backbone.body.layer1.0.conv1.weight",
    "backbone.body.layer4.1.bn2.running_var",
    "backbone.body.stem.weight",
    "rpn.head.cls_logits.weight",
    "rpn.head.bbox_pred.weight",
    "roi_heads.box_head.fc6.weight",
    "roi_heads.box_predictor.cls_score.weight",
    "roi_heads.box_predictor.bbox_pred.weight",
    "roi_heads.mask_predictor.conv5_mask.weight",
    "roi_heads.mask_predictor.mask_fcn_logits.weight",
    // detectron2's.
    "backbone.bottom_up.stem.conv1.weight",
    "backbone.bottom_up.stem.conv1.norm.running_mean",
    "backbone.bottom_up.res2.0.conv1.weight",
    "backbone.fpn_output2.weight",
    "proposal_generator.rpn_head.objectness_logits.weight",
    "proposal_generator.rpn_head.anchor_deltas.weight",
    "roi_heads.box_head.fc1.weight",
    "roi_heads.mask_head.predictor.weight",
    // Matterport's.
    "conv1/kernel:0",
    "bn_conv1/moving_mean:0",
    "res2a_branch2a/kernel:0",
    "bn5c_branch2c/moving_variance:0",
    "fpn_c5p5/kernel:0",
    "rpn_class_raw/kernel:0",
    "mrcnn_class_logits/kernel:0",
    "mrcnn_mask/kernel:0",
];

/// Names of networks that are not read but recognised, for what the error says.
pub(super) const RELATIVES: [&str; 3] = [
    "head.classification_head.cls_logits.weight",
    "fc.weight",
    "classifier.weight",
];

/// A place where a network may be.
pub(super) struct Place<'c> {
    pub candidate: usize,
    /// The key of the candidate, and the prefix without its dot.
    pub key: String,
    pub prefix: String,
    /// Parts of names between which the network's own are.
    pub inserted: Vec<&'c str>,
    /// How many of the landmarks are there.
    pub landmarks: usize,
}

/// The places in a candidate where there are landmarks, with the parts taken out that let the most
/// be found.
pub(super) fn find<'c>(
    at: usize,
    candidate: &'c Candidate<'_>,
    landmarks: &[&str],
) -> Vec<Place<'c>> {
    /// More names end like a landmark only in files that are made for it.
    const MOST_NAMES: usize = 512;
    /// A wrapper of a wrapper of a wrapper.
    const MOST_INSERTED: usize = 4;
    const MOST_PARTS: usize = 32;
    let names: Vec<&str> = candidate
        .names
        .iter()
        .map(|name| &**name)
        .filter(|name| {
            landmarks
                .iter()
                .any(|mark| last_two(mark) == last_two(name))
        })
        .take(MOST_NAMES)
        .collect();
    let best = |found: &BTreeMap<String, usize>| found.values().copied().max().unwrap_or(0);

    let mut inserted: Vec<&str> = Vec::new();
    let mut found = prefixes(&names, &inserted, landmarks);
    while inserted.len() < MOST_INSERTED {
        let mut parts: Vec<&str> = Vec::new();
        for part in names.iter().flat_map(|name| name.split('.')) {
            let is_own = |mark: &&str| mark.split('.').any(|own| own == part);
            let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
            if parts.len() < MOST_PARTS
                && !is_number
                && !parts.contains(&part)
                && !inserted.contains(&part)
                && !landmarks.iter().any(is_own)
            {
                parts.push(part);
            }
        }
        let without = parts.into_iter().map(|part| {
            let inserted = [&*inserted, &[part]].concat();
            let found = prefixes(&names, &inserted, landmarks);
            (best(&found), inserted, found)
        });
        // Of equal ones the first.
        let better = without.reduce(|best, next| if next.0 > best.0 { next } else { best });
        let Some((most, more, there)) = better else {
            break;
        };
        if most <= best(&found) || collide(candidate, &more) {
            break;
        }
        (inserted, found) = (more, there);
    }
    let place = |(prefix, landmarks): (String, usize)| {
        let keys = [&*candidate.key, prefix.trim_end_matches('.')];
        let keys: Vec<&str> = keys.into_iter().filter(|key| !key.is_empty()).collect();
        Place {
            candidate: at,
            key: keys.join("."),
            prefix,
            inserted: inserted.clone(),
            landmarks,
        }
    };
    found.into_iter().map(place).collect()
}

/// What stands before landmarks, and before how many of them.
fn prefixes(names: &[&str], inserted: &[&str], landmarks: &[&str]) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for name in names {
        let name = without(name, inserted);
        for mark in landmarks {
            if let Some(prefix) = name.strip_suffix(mark)
                && (prefix.is_empty() || prefix.ends_with('.'))
            {
                *found.entry(prefix.to_owned()).or_insert(0) += 1;
            }
        }
    }
    found
}

/// Parts of the network's names that are an attribute of a wrapper, by Python's convention for
/// private ones: activation checkpointing wraps single blocks, and may miss all landmarks. None when
/// names would collide without them.
pub(super) fn private_parts(candidate: &Candidate<'_>, place: &Place<'_>) -> Vec<String> {
    let mut parts = Vec::new();
    for name in &candidate.names {
        let name = without(name, &place.inserted);
        let Some(own) = name.strip_prefix(&*place.prefix) else {
            continue;
        };
        for part in own.split('.') {
            if part.starts_with('_') && !parts.iter().any(|known| known == part) {
                parts.push(part.to_owned());
            }
        }
    }
    let all: Vec<&str> = place
        .inserted
        .iter()
        .copied()
        .chain(parts.iter().map(|part| &**part))
        .collect();
    if parts.is_empty() || collide(candidate, &all) {
        return Vec::new();
    }
    parts
}

/// Whether two of the candidate's names are the same without these parts.
fn collide(candidate: &Candidate<'_>, inserted: &[&str]) -> bool {
    let mut seen = HashSet::new();
    let mut names = candidate.names.iter().map(|name| without(name, inserted));
    !names.all(|name| seen.insert(name))
}

/// A name without these of its parts.
pub(super) fn without<'n>(name: &'n str, inserted: &[&str]) -> Cow<'n, str> {
    if inserted.is_empty() || !name.split('.').any(|part| inserted.contains(&part)) {
        return Cow::Borrowed(name);
    }
    let kept = name.split('.').filter(|part| !inserted.contains(part));
    Cow::Owned(kept.collect::<Vec<_>>().join("."))
}

/// The last two parts of a name: most names of a file are no landmark's by these.
fn last_two(name: &str) -> (&str, &str) {
    let (rest, last) = name.rsplit_once('.').unwrap_or(("", name));
    (rest.rsplit_once('.').map_or(rest, |(_, part)| part), last)
}
