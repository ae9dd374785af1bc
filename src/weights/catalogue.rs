//! The weights that publishers offer, by the names that this program gives them.

use std::fmt;

use intake::Address;
use url::Url;

/// Weights that somebody published, or that are part of the program.
#[derive(Debug, PartialEq)]
pub struct Entry {
    /// The program's name for them.
    pub name: &'static str,
    /// What others call them: publishers' functions, configurations and files, which a user may type.
    /// The name of the file at the publisher need not be among them.
    aliases: &'static [&'static str],
    /// Whose network it is, in words.
    pub network: &'static str,
    /// The family that a file of them is read as.
    pub family: &'static str,
    /// Where they are; none for those that are part of the program.
    url: Option<&'static str>,
    /// The size of the file.
    pub size: Size,
    /// Of the file, in hex; none where it is not known here.
    pub sha256: Option<&'static str>,
    /// The first digits of the MD5 of the file, which detectron2's publisher puts into its name
    /// (`MODEL_ZOO.md`, "How to Read the Tables"); none where there are none.
    pub md5_prefix: Option<&'static str>,
    /// Published mask AP on COCO val2017; none for those that were not measured so.
    pub mask_ap: Option<f32>,
    /// Of the weights, as their publisher says.
    pub licence: &'static str,
}

/// How large a file is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// To the byte.
    Exactly(u64),
    /// Rounded, as the publisher says it.
    About(u64),
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (about, bytes) = match *self {
            Self::Exactly(bytes) => ("", bytes),
            Self::About(bytes) => ("~", bytes),
        };
        f.pad(&format!("{about}{:.0} MB", bytes as f64 / 1e6))
    }
}

/// All of them. Addresses, AP and licences: torchvision's `models/detection/mask_rcnn.py`,
/// detectron2's `MODEL_ZOO.md`, Matterport's release 2.0. weights/README.md says where sizes and sums
/// come from, and which could not be checked against the publisher's file.
pub static CATALOGUE: [Entry; 7] = [
    Entry {
        name: "compact",
        aliases: &[],
        network: "EfficientNet-Lite0, part of the program",
        family: "compact",
        url: None,
        size: Size::Exactly(11_555_010),
        sha256: None,
        md5_prefix: None,
        mask_ap: None,
        licence: "MIT",
    },
    Entry {
        name: "maskrcnn-v1",
        aliases: &[
            "maskrcnn_resnet50_fpn",
            "maskrcnn_resnet50_fpn_coco",
            "MaskRCNN_ResNet50_FPN_Weights.COCO_V1",
            "MaskRCNN_ResNet50_FPN_Weights",
        ],
        network: "torchvision maskrcnn_resnet50_fpn",
        family: "torchvision-v1",
        url: Some("https://download.pytorch.org/models/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"),
        size: Size::Exactly(178_090_079),
        sha256: Some("bf2d0c1efbc936eeee2bc95a48e80ebc86b891f61b0106485937fc29f9315fc0"),
        md5_prefix: None,
        mask_ap: Some(34.6),
        licence: "BSD-3-Clause",
    },
    Entry {
        name: "maskrcnn-v2",
        aliases: &[
            "maskrcnn_resnet50_fpn_v2",
            "maskrcnn_resnet50_fpn_v2_coco",
            "MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1",
            "MaskRCNN_ResNet50_FPN_V2_Weights",
        ],
        network: "torchvision maskrcnn_resnet50_fpn_v2",
        family: "torchvision-v2",
        url: Some("https://download.pytorch.org/models/maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth"),
        size: Size::Exactly(185_828_065),
        sha256: Some("73cbd0190fcbe3ba339921fbce2c3a0b6bb9126c9a133c85e43a2a8e060a109e"),
        md5_prefix: None,
        mask_ap: Some(41.8),
        licence: "BSD-3-Clause",
    },
    Entry {
        name: "matterport",
        aliases: &["mask_rcnn_coco"],
        network: "Matterport ResNet-101",
        family: "matterport",
        url: Some(
            "https://github.com/matterport/Mask_RCNN/releases/download/v2.0/mask_rcnn_coco.h5",
        ),
        size: Size::Exactly(257_557_808),
        sha256: None,
        md5_prefix: None,
        mask_ap: None,
        licence: "MIT",
    },
    Entry {
        name: "detectron2-r50-3x",
        aliases: &["mask_rcnn_R_50_FPN_3x"],
        network: "detectron2 mask_rcnn_R_50_FPN_3x",
        family: "detectron2",
        url: Some(
            "https://dl.fbaipublicfiles.com/detectron2/COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x/137849600/model_final_f10217.pkl",
        ),
        size: Size::Exactly(177_841_981),
        sha256: Some("9a737e290372f1f70994ebcbd89d8004dbb3ae30a605fd915a190fa4a782dd66"),
        md5_prefix: Some("f10217"),
        mask_ap: Some(37.2),
        licence: "CC-BY-SA-3.0",
    },
    Entry {
        name: "detectron2-r101-3x",
        aliases: &["mask_rcnn_R_101_FPN_3x"],
        network: "detectron2 mask_rcnn_R_101_FPN_3x",
        family: "detectron2",
        url: Some(
            "https://dl.fbaipublicfiles.com/detectron2/COCO-InstanceSegmentation/mask_rcnn_R_101_FPN_3x/138205316/model_final_a3ec72.pkl",
        ),
        size: Size::About(254_000_000),
        sha256: None,
        md5_prefix: Some("a3ec72"),
        mask_ap: Some(38.6),
        licence: "CC-BY-SA-3.0",
    },
    Entry {
        name: "detectron2-x101-3x",
        aliases: &["mask_rcnn_X_101_32x8d_FPN_3x"],
        network: "detectron2 mask_rcnn_X_101_32x8d_FPN_3x",
        family: "detectron2",
        url: Some(
            "https://dl.fbaipublicfiles.com/detectron2/COCO-InstanceSegmentation/mask_rcnn_X_101_32x8d_FPN_3x/139653917/model_final_2d9806.pkl",
        ),
        size: Size::About(431_000_000),
        sha256: None,
        md5_prefix: Some("2d9806"),
        mask_ap: Some(39.5),
        licence: "CC-BY-SA-3.0",
    },
];

/// The entry called `name`.
pub fn find(name: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.name == name)
}

/// What files of weights and of configurations end in, which is no part of a name.
const ENDINGS: [&str; 7] = [
    ".pth",
    ".pt",
    ".pkl",
    ".h5",
    ".safetensors",
    ".yaml",
    ".yml",
];

/// The name of the weights that `word` stands for with their publisher, whatever its case and its
/// hyphens: a file or a configuration, with or without its folders, or a function. Else the name that
/// it looks most like, when it looks like one at all; not of the path of a file, which may be a user's
/// own.
pub fn nearest(word: &str) -> Option<&'static str> {
    let plain = plain(word);
    let is_called = |entry: &&Entry| entry.all_names().any(|name| self::plain(name) == plain);
    if let Some(entry) = CATALOGUE.iter().find(is_called) {
        return Some(entry.name);
    }
    if !is_bare(word) {
        return None;
    }
    // A typing mistake or two: one in five characters, since short words look like many.
    let most = plain.chars().count() / 5;
    let distance = |name: &str| strsim::osa_distance(&plain, &self::plain(name));
    // Other digits in a publisher's name are another network.
    let digits = |name: &str| -> String { name.chars().filter(char::is_ascii_digit).collect() };
    let far = |entry: &Entry| {
        let own = distance(entry.name);
        let aliases = entry.aliases.iter();
        let aliases = aliases.filter(|alias| digits(alias) == digits(&plain));
        let aliases = aliases.map(|alias| distance(alias));
        aliases.filter(|far| *far < 2).chain([own]).min()
    };
    // Of those that are equally near the last: publishers' later ones are the better ones.
    let near = CATALOGUE
        .iter()
        .rev()
        .filter_map(|entry| Some((far(entry)?, entry.name)));
    let best = near.min_by_key(|(far, _)| *far);
    best.filter(|(far, _)| *far <= most).map(|(_, name)| name)
}

/// Whether `word` is a word and no path of a file.
pub fn is_bare(word: &str) -> bool {
    !word.is_empty() && !word.contains(['/', '.', ':'])
}

/// What of a name counts when names are compared: letters and digits of its last part.
fn plain(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let name = name.to_ascii_lowercase();
    let ending = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
    let stem = ending.unwrap_or(&name).chars();
    stem.filter(|character| character.is_alphanumeric())
        .collect()
}

impl Entry {
    /// Where the weights are fetched from, on `mirror` instead of the publisher's host if there is
    /// one; none for those that are part of the program.
    pub fn address(&self, mirror: Option<&Url>) -> Option<Address> {
        let url = self.url?;
        let address = match mirror {
            None => url.to_owned(),
            Some(mirror) => {
                let path = url.splitn(4, '/').nth(3).unwrap_or_default();
                format!("{}/{path}", mirror.as_str().trim_end_matches('/'))
            }
        };
        Some(Address::not_standard_input(address.as_ref()))
    }

    /// All that they are called, here and elsewhere.
    fn all_names(&self) -> impl Iterator<Item = &'static str> {
        let aliases = self.aliases.iter().copied();
        aliases.chain([self.name, self.file()])
    }

    /// The name of the publisher's file.
    pub fn file(&self) -> &'static str {
        let last = self.url.and_then(|url| url.rsplit('/').next());
        last.unwrap_or(maskrcnn::Weights::EMBEDDED_NAME)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn entries_are_complete_and_told_apart() {
        let names: BTreeSet<_> = CATALOGUE.iter().map(|entry| entry.name).collect();
        let files: BTreeSet<_> = CATALOGUE.iter().map(Entry::file).collect();
        assert_eq!(
            (names.len(), files.len()),
            (CATALOGUE.len(), CATALOGUE.len())
        );
        for entry in &CATALOGUE {
            let is_hex = |sum: &str| sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(entry.sha256.is_none_or(is_hex), "{}", entry.name);
            // PyTorch's files have the first digits of their sum in their name.
            if let (Some(sum), Some((_, prefix))) = (entry.sha256, entry.file().rsplit_once('-')) {
                assert!(
                    sum.starts_with(prefix.trim_end_matches(".pth")),
                    "{}",
                    entry.name
                );
            }
            let file = entry.file();
            let in_name = |prefix| file.ends_with(&format!("_{prefix}.pkl"));
            assert!(entry.md5_prefix.is_none_or(in_name), "{}", entry.name);
            let address = entry.address(None);
            assert!(address.is_none_or(|address| matches!(address, Address::Http(_))));
        }
    }

    #[test]
    fn a_word_mistyped_gets_the_nearest_name() {
        for (word, name) in [
            ("maskrcnnv2", "maskrcnn-v2"),
            ("matterprot", "matterport"),
            ("MATTERPORT", "matterport"),
            ("Detectron2-R50-3x", "detectron2-r50-3x"),
            ("detectron2-r50", "detectron2-r50-3x"),
            ("detectron2_r101_3x", "detectron2-r101-3x"),
            ("maskrcnn_resnet50_fnp_v2", "maskrcnn-v2"),
            ("compct", "compact"),
        ] {
            assert_eq!(nearest(word), Some(name), "{word}");
        }
    }

    #[test]
    fn publishers_names_lead_to_ours() {
        for (name, words) in [
            (
                "maskrcnn-v1",
                &[
                    "maskrcnn_resnet50_fpn",
                    "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
                    "/data/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
                    "MaskRCNN_ResNet50_FPN_Weights.COCO_V1",
                ][..],
            ),
            (
                "maskrcnn-v2",
                &[
                    "maskrcnn_resnet50_fpn_v2",
                    "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
                    "MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1",
                ],
            ),
            ("matterport", &["mask_rcnn_coco.h5", "mask_rcnn_coco"]),
            (
                "detectron2-r50-3x",
                &[
                    "model_final_f10217.pkl",
                    "mask_rcnn_R_50_FPN_3x",
                    "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml",
                ],
            ),
            (
                "detectron2-r101-3x",
                &[
                    "model_final_a3ec72.pkl",
                    "COCO-InstanceSegmentation/mask_rcnn_R_101_FPN_3x.yaml",
                ],
            ),
            (
                "detectron2-x101-3x",
                &[
                    "model_final_2d9806.pkl",
                    "mask_rcnn_X_101_32x8d_FPN_3x.yaml",
                ],
            ),
        ] {
            for word in words {
                assert_eq!(nearest(word), Some(name), "{word}");
            }
        }
    }

    #[test]
    fn other_words_get_no_name() {
        for word in [
            "",
            "holiday",
            "resnet",
            "resnet50",
            "impact",
            "model_final.pth",
            "model_final_3c3198.pkl",
            "matterprot.h5",
            "fasterrcnn_resnet50_fpn",
            "keypointrcnn_resnet50_fpn",
            "maskrcnn_resnet101_fpn",
            "mask_rcnn_R_50_FPN_1x",
            "mask_rcnn_R_50_C4_3x",
            "mask_rcnn_R_50_FPN_3x_gn",
            "cascade_mask_rcnn_R_50_FPN_3x",
            "Misc/mask_rcnn_R_50_FPN_3x_gn.yaml",
            "mask_rcnn_balloon.h5",
        ] {
            assert_eq!(nearest(word), None, "{word}");
        }
    }

    #[test]
    fn sizes_and_families_are_those_of_the_files() {
        let embedded = maskrcnn::Weights::embedded().unwrap();
        let entry = find("compact").unwrap();
        assert_eq!(embedded.family(), entry.family);
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/compact.safetensors");
        let bytes = std::fs::metadata(file).unwrap().len();
        assert_eq!(entry.size, Size::Exactly(bytes));
        assert_eq!(Size::About(254_000_000).to_string(), "~254 MB");
    }
}
