//! The page's colours, tested by computation: contrast by WCAG 2.2, and the distance of each pair
//! as people see it with and without colour blindness (Machado, Oliveira and Fernandes 2009, full
//! severity), in Oklab.

use super::text::series_style;
use crate::lab::record::ProgramName;
use std::collections::{BTreeMap, BTreeSet};

type Rgb = [f64; 3];
type Matrix = [[f64; 3]; 3];

/// Typical vision, protanopia, deuteranopia and tritanopia, over linear light.
const SIGHTS: [(&str, Matrix); 4] = [
    ("typical", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    (
        "protanopia",
        [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ],
    ),
    (
        "deuteranopia",
        [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ],
    ),
    (
        "tritanopia",
        [
            [1.255_528, -0.076_749, -0.178_779],
            [-0.078_411, 0.930_809, 0.147_602],
            [0.004_733, 0.691_367, 0.303_900],
        ],
    ),
];
/// Björn Ottosson's Oklab: linear light to cone responses, their cube roots to L, a and b.
const TO_CONES: Matrix = [
    [0.412_221_470_8, 0.536_332_536_3, 0.051_445_992_9],
    [0.211_903_498_2, 0.680_699_545_1, 0.107_396_956_6],
    [0.088_302_461_9, 0.281_718_837_6, 0.629_978_700_5],
];
const TO_LAB: Matrix = [
    [0.210_454_255_3, 0.793_617_785_0, -0.004_072_046_8],
    [1.977_998_495_1, -2.428_592_205_0, 0.450_593_709_9],
    [0.025_904_037_1, 0.782_771_766_2, -0.808_675_766_0],
];

fn times(matrix: &Matrix, vector: Rgb) -> Rgb {
    matrix.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum())
}

/// `#rgb` or `#rrggbb` as linear light.
fn linear(colour: &str) -> Rgb {
    let digits = colour.trim_start_matches('#');
    let width = digits.len() / 3;
    [0, 1, 2].map(|at| {
        let part = &digits[at * width..][..width];
        let byte = u8::from_str_radix(&part.repeat(2 / width), 16).unwrap();
        let value = f64::from(byte) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    })
}

fn contrast(one: &str, other: &str) -> f64 {
    let light = |colour| {
        let [r, g, b] = linear(colour);
        0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05
    };
    let (a, b) = (light(one), light(other));
    a.max(b) / a.min(b)
}

fn distance(one: &str, other: &str, sight: &Matrix) -> f64 {
    let seen = |colour| {
        let light = times(sight, linear(colour)).map(|it| it.clamp(0.0, 1.0));
        times(&TO_LAB, times(&TO_CONES, light).map(f64::cbrt))
    };
    let (a, b) = (seen(one), seen(other));
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// The variables of the light and of the dark page.
fn palettes() -> [BTreeMap<String, String>; 2] {
    let style = include_str!("style.css");
    let mut pages = style.split(":root{").skip(1).map(|it| {
        let variables = it.split('}').next().unwrap().split(';');
        let pairs = variables.filter_map(|it| it.trim().strip_prefix("--")?.split_once(':'));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    });
    [pages.next().unwrap(), pages.next().unwrap()]
}

#[test]
fn every_colour_can_be_read_on_its_background() {
    for page in palettes() {
        for name in page.keys().filter(|it| !["bg", "grid"].contains(&it.as_str())) {
            let ratio = contrast(&page[name], &page["bg"]);
            assert!(ratio >= 4.5, "{name}: {ratio:.2} : 1");
        }
    }
}

#[test]
fn the_colour_blind_can_tell_the_series_apart() {
    let series: Vec<String> =
        ('m'..='p').step_by(3).flat_map(|it| (0..6).map(move |n| format!("{it}{n}"))).collect();
    for page in palettes() {
        let series: Vec<_> = series.iter().filter(|it| page.contains_key(*it)).collect();
        assert_eq!(series.len(), 10);
        for (at, one) in series.iter().enumerate() {
            for other in &series[at + 1..] {
                // Lines of programs differ in their dashes too.
                let least = if other.starts_with('m') { 0.1 } else { 0.05 };
                for (sight, matrix) in &SIGHTS {
                    let distance = distance(&page[*one], &page[*other], matrix);
                    assert!(distance >= least, "{one} and {other}, {sight}: {distance:.3}");
                }
            }
        }
    }
}

#[test]
fn each_program_has_its_own_colour_and_dashes() {
    let names = ["a", "b", "c", "d", "e", "f"].map(|it| it.parse::<ProgramName>().unwrap());
    let style = series_style(names.into_iter());
    let rules: BTreeSet<_> =
        style.split_terminator('}').filter_map(|it| it.split_once('{')).collect();
    for property in ["color:", "stroke-dasharray:"] {
        let values: BTreeSet<_> =
            rules.iter().map(|it| it.1).filter(|it| it.starts_with(property)).collect();
        assert_eq!(values.len(), 6, "{style}");
    }
    assert!(!style.contains("stroke-dasharray:7 4"), "that one is UDP reliable-unordered's");
}
