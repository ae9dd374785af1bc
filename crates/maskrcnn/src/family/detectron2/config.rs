//! detectron2's `config.yaml`, which its trainer writes beside the checkpoints (`default_setup` in
//! `engine/defaults.py`; the names are of `config/defaults.py`).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use super::yaml;
use crate::blueprint::{Blueprint, BottleneckStride};
use crate::checkpoint::printable;
use crate::error::{Error, Result};

/// The file's name.
pub(super) const NAME: &str = "config.yaml";

/// The largest file that is read; a whole configuration has 10 000 bytes.
const LARGEST: u64 = 1 << 20;

/// What a network must be to be read: a key, and its values as a list in JSON. All that such a
/// network does not use (training, other heads) is not looked at.
const FIXED: [(&str, &str); 24] = [
    ("MODEL.META_ARCHITECTURE", r#"["GeneralizedRCNN"]"#),
    ("MODEL.MASK_ON", "[true]"),
    ("MODEL.KEYPOINT_ON", "[false]"),
    ("MODEL.LOAD_PROPOSALS", "[false]"),
    ("MODEL.BACKBONE.NAME", r#"["build_resnet_fpn_backbone"]"#),
    ("MODEL.FPN.NORM", r#"[""]"#),
    ("MODEL.FPN.FUSE_TYPE", r#"["sum"]"#),
    (
        "MODEL.FPN.IN_FEATURES",
        r#"[["res2", "res3", "res4", "res5"]]"#,
    ),
    (
        "MODEL.RESNETS.NORM",
        r#"["FrozenBN", "BN", "SyncBN", "NaiveSyncBN", "nnSyncBN"]"#,
    ),
    ("MODEL.RESNETS.RES5_DILATION", "[1]"),
    (
        "MODEL.RESNETS.DEFORM_ON_PER_STAGE",
        "[[false, false, false, false]]",
    ),
    ("MODEL.PROPOSAL_GENERATOR.NAME", r#"["RPN"]"#),
    (
        "MODEL.ANCHOR_GENERATOR.NAME",
        r#"["DefaultAnchorGenerator"]"#,
    ),
    ("MODEL.ANCHOR_GENERATOR.OFFSET", "[0]"),
    ("MODEL.RPN.HEAD_NAME", r#"["StandardRPNHead"]"#),
    ("MODEL.RPN.BBOX_REG_WEIGHTS", "[[1, 1, 1, 1]]"),
    (
        "MODEL.RPN.IN_FEATURES",
        r#"[["p2", "p3", "p4", "p5", "p6"]]"#,
    ),
    ("MODEL.ROI_HEADS.NAME", r#"["StandardROIHeads"]"#),
    (
        "MODEL.ROI_HEADS.IN_FEATURES",
        r#"[["p2", "p3", "p4", "p5"]]"#,
    ),
    (
        "MODEL.ROI_BOX_HEAD.NAME",
        r#"["FastRCNNConvFCHead", "FastRCNNFPNHead"]"#,
    ),
    ("MODEL.ROI_BOX_HEAD.POOLER_TYPE", r#"["ROIAlignV2"]"#),
    ("MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE", "[false]"),
    (
        "MODEL.ROI_MASK_HEAD.NAME",
        r#"["MaskRCNNConvUpsampleHead", "MaskRCNNFPNHead"]"#,
    ),
    ("MODEL.ROI_MASK_HEAD.POOLER_TYPE", r#"["ROIAlignV2"]"#),
];

/// The number of classes, which the tensors have, too.
const CLASSES: &str = "MODEL.ROI_HEADS.NUM_CLASSES";

/// The groups of the ResNet's 3×3 convolutions, which the tensors show; networks that differ in them
/// are given other pixels.
const GROUPS: &str = "MODEL.RESNETS.NUM_GROUPS";

/// A configuration.
pub(super) struct Config(Value);

/// How pixels are given to a network, as a configuration has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pixels {
    /// Blue first, as OpenCV has them, and so mean and deviation are.
    pub(super) bgr: bool,
    pub(super) mean: [f64; 3],
    pub(super) std: [f64; 3],
}

impl Config {
    /// The configuration beside the checkpoint at `path`; none where there is no such file, or where
    /// it is another program's.
    ///
    /// # Errors
    ///
    /// [`Error::ReadFile`], and [`Error::Unsupported`] when it is too large, no YAML, or builds on
    /// another file.
    pub(super) fn beside(path: &Path) -> Result<Option<Self>> {
        let path = path.with_file_name(NAME);
        if !path.is_file() {
            return Ok(None);
        }
        let mut text = String::new();
        let read = File::open(&path).and_then(|file| {
            let length = file.take(LARGEST + 1).read_to_string(&mut text)?;
            if length as u64 > LARGEST {
                let reason = format!("it is larger than {} MiB", LARGEST >> 20);
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
            }
            Ok(())
        });
        read.map_err(|source| Error::ReadFile { path, source })?;
        Self::parse(&text)
    }

    /// A configuration from its text; none when it is of another program.
    pub(super) fn parse(text: &str) -> Result<Option<Self>> {
        let value = yaml::read(text).map_err(|reason| Error::Unsupported {
            what: format!("the {NAME} beside the checkpoint ({reason})"),
            remedy: "mend it, or move it elsewhere to have the model zoo's settings",
        })?;
        let config = Self(value);
        if config.get("_BASE_").is_some() {
            return Err(Error::Unsupported {
                what: format!("`_BASE_` in the {NAME} beside the checkpoint"),
                remedy: "write the whole configuration there, with cfg.dump()",
            });
        }
        let fixed = FIXED.iter().map(|(key, _)| *key);
        let set = SETTINGS.iter().map(|(key, _)| *key);
        let mut keys = fixed.chain(set).chain([CLASSES, GROUPS]);
        let is_of_detectron2 = keys.any(|key| config.get(key).is_some());
        Ok(is_of_detectron2.then_some(config))
    }

    /// Lays the configuration over a blueprint and over `pixels`, and returns the names of the keys
    /// that changed something.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`], which names the key, for what is not read, what makes no sense, and
    /// what does not fit the tensors, of which there are so many classes.
    pub(super) fn lay_over(
        &self,
        blueprint: &mut Blueprint,
        pixels: &mut Pixels,
        classes: i64,
    ) -> Result<Vec<&'static str>> {
        for (key, allowed) in FIXED {
            let allowed: Value = serde_json::from_str(allowed).expect("a list in JSON");
            let is_allowed =
                |value| (allowed.as_array().into_iter().flatten()).any(|other| same(value, other));
            if let Some(value) = self.get(key)
                && !is_allowed(value)
            {
                return Err(refused(key, value));
            }
        }
        self.fits(blueprint, classes)?;
        let mut changed = Vec::new();
        let mut before = (blueprint.clone(), pixels.clone());
        for (key, set) in SETTINGS {
            let Some(value) = self.get(key) else {
                continue;
            };
            set(value, blueprint, pixels).ok_or_else(|| refused(key, value))?;
            if before != (blueprint.clone(), pixels.clone()) {
                changed.push(key);
                before = (blueprint.clone(), pixels.clone());
            }
        }
        Ok(changed)
    }

    /// Checks what the tensors say, too: a configuration of another network lies here by mistake.
    fn fits(&self, blueprint: &Blueprint, classes: i64) -> Result<()> {
        let differs = |key: &str, found: String| match self.get(key) {
            Some(value) => Err(Error::Unsupported {
                what: format!(
                    "`{key}: {}` in the {NAME} beside a checkpoint of {found}",
                    shown(value)
                ),
                remedy: "if it belongs to another checkpoint, move it elsewhere",
            }),
            None => Ok(()),
        };
        let number = |key: &str| self.get(key).and_then(Value::as_i64);
        if number(CLASSES) != Some(classes) {
            differs(CLASSES, format!("{classes} classes"))?;
        }
        let crate::blueprint::BackboneBlueprint::ResNet(resnet) = &blueprint.backbone else {
            return Ok(());
        };
        if number(GROUPS) != Some(resnet.groups) {
            differs(GROUPS, format!("{} groups", resnet.groups))?;
        }
        Ok(())
    }

    /// The value of a key, whose parts are joined by dots.
    fn get(&self, key: &str) -> Option<&Value> {
        key.split('.')
            .try_fold(&self.0, |value, part| value.get(part))
    }
}

/// Puts the value of a key where it belongs; none when it cannot have this value.
type Set = fn(&Value, &mut Blueprint, &mut Pixels) -> Option<()>;

/// The keys that are read.
const SETTINGS: [(&str, Set); 22] = [
    ("INPUT.FORMAT", |value, _, pixels| {
        pixels.bgr = match value.as_str()? {
            "BGR" => true,
            "RGB" => false,
            _ => return None,
        };
        Some(())
    }),
    ("MODEL.PIXEL_MEAN", |value, _, pixels| {
        pixels.mean = doubles(value)?.try_into().ok()?;
        Some(())
    }),
    ("MODEL.PIXEL_STD", |value, _, pixels| {
        pixels.std = doubles(value)?.try_into().ok()?;
        Some(())
    }),
    ("INPUT.MIN_SIZE_TEST", |value, blueprint, _| {
        natural(value, &mut blueprint.transform.min_size)?;
        // 0 is for pictures as they are.
        (blueprint.transform.min_size > 0).then_some(())
    }),
    ("INPUT.MAX_SIZE_TEST", |value, blueprint, _| {
        natural(value, &mut blueprint.transform.max_size)
    }),
    ("MODEL.RESNETS.STRIDE_IN_1X1", |value, blueprint, _| {
        let crate::blueprint::BackboneBlueprint::ResNet(resnet) = &mut blueprint.backbone else {
            return None;
        };
        resnet.stride = match value.as_bool()? {
            true => BottleneckStride::First,
            false => BottleneckStride::Middle,
        };
        Some(())
    }),
    ("MODEL.ANCHOR_GENERATOR.SIZES", |value, blueprint, _| {
        // One size a level.
        let levels = value
            .as_array()?
            .iter()
            .map(|sizes| match *doubles(sizes)? {
                [size] => Some(size as f32),
                _ => None,
            });
        blueprint.rpn.anchor_sizes = levels.collect::<Option<Vec<_>>>()?;
        Some(())
    }),
    (
        "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS",
        |value, blueprint, _| {
            // The same on every level.
            let (first, others) = value.as_array()?.split_first()?;
            let ratios = doubles(first)?.into_iter().map(|ratio| ratio as f32);
            blueprint.rpn.aspect_ratios = ratios.collect();
            others.iter().all(|other| same(first, other)).then_some(())
        },
    ),
    (
        "MODEL.PROPOSAL_GENERATOR.MIN_SIZE",
        |value, blueprint, _| {
            blueprint.rpn.min_size = value.as_f64()? as f32;
            Some(())
        },
    ),
    ("MODEL.RPN.PRE_NMS_TOPK_TEST", |value, blueprint, _| {
        natural(value, &mut blueprint.rpn.pre_nms_top_n)
    }),
    ("MODEL.RPN.POST_NMS_TOPK_TEST", |value, blueprint, _| {
        natural(value, &mut blueprint.rpn.post_nms_top_n)
    }),
    ("MODEL.RPN.NMS_THRESH", |value, blueprint, _| {
        blueprint.rpn.nms_thresh = value.as_f64()?;
        Some(())
    }),
    (
        "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION",
        |value, blueprint, _| natural(value, &mut blueprint.box_head.resolution),
    ),
    (
        "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO",
        |value, blueprint, _| natural(value, &mut blueprint.box_head.sampling_ratio),
    ),
    (
        "MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS",
        |value, blueprint, _| {
            let weights: [f64; 4] = doubles(value)?.try_into().ok()?;
            blueprint.box_head.delta_weights = weights.map(|weight| weight as f32);
            Some(())
        },
    ),
    // Which of both it is shows in the tensors.
    ("MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", |value, _, _| {
        value.as_bool().map(drop)
    }),
    ("MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK", |value, _, _| {
        value.as_bool().map(drop)
    }),
    (
        "MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION",
        |value, blueprint, _| natural(value, &mut blueprint.mask_head.resolution),
    ),
    (
        "MODEL.ROI_MASK_HEAD.POOLER_SAMPLING_RATIO",
        |value, blueprint, _| natural(value, &mut blueprint.mask_head.sampling_ratio),
    ),
    (
        "MODEL.ROI_HEADS.SCORE_THRESH_TEST",
        |value, blueprint, _| {
            blueprint.postprocess.score_thresh = value.as_f64()? as f32;
            Some(())
        },
    ),
    ("MODEL.ROI_HEADS.NMS_THRESH_TEST", |value, blueprint, _| {
        blueprint.postprocess.nms_thresh = value.as_f64()?;
        Some(())
    }),
    ("TEST.DETECTIONS_PER_IMAGE", |value, blueprint, _| {
        natural(value, &mut blueprint.postprocess.detections_per_image)
    }),
];

fn natural(value: &Value, place: &mut usize) -> Option<()> {
    *place = usize::try_from(value.as_u64()?).ok()?;
    Some(())
}

fn doubles(value: &Value) -> Option<Vec<f64>> {
    value.as_array()?.iter().map(Value::as_f64).collect()
}

/// Whether two values are the same, 1 and 1.0 being so.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        _ => one == other || one.as_f64().is_some_and(|one| other.as_f64() == Some(one)),
    }
}

fn refused(key: &str, value: &Value) -> Error {
    Error::Unsupported {
        what: format!(
            "`{key}: {}` in the {NAME} beside the checkpoint",
            shown(value)
        ),
        remedy: "Mask R-CNNs with ResNet and FPN are read as the model zoo has them; \
                 if the file belongs to another checkpoint, move it elsewhere",
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        other => printable(&other.to_string()),
    }
}
