//! Curves and figure 3, looked at by their numbers.

use alexnet_net::{Checkpoint, Net, Parameters, Position};
use alexnet_report::{colour_indices, curves, filters};
use alexnet_train::Record;
use image::Rgb;

fn checkpoint(columns: usize) -> Checkpoint {
    let net = Net::paper(columns, 10).narrowed(2, 64);
    Checkpoint {
        parameters: Parameters::initial(&net, 1).unwrap(),
        velocity: None,
        mean_image: None,
        classes: vec![],
        position: Position::default(),
        seed: 1,
        recipe: serde_json::Value::Null,
        extra: serde_json::Value::Null,
        net,
    }
}

#[test]
fn kernels_stand_where_the_figure_has_them() {
    let mut checkpoint = checkpoint(2);
    // Kernel 17 is the second of the second row: white at its first pixel, black at its last.
    let kernel = &mut checkpoint.parameters.get_mut(0)[17 * 363..18 * 363];
    kernel.fill(0.0);
    for channel in 0..3 {
        (kernel[channel * 121], kernel[channel * 121 + 120]) = (2.0, -2.0);
    }
    let picture = filters(&checkpoint, 1).unwrap();
    assert_eq!(picture.dimensions(), (16 * 12 + 1, 3 * 12 + 1));
    let (left, top) = (12 + 1, 12 + 1);
    assert_eq!(*picture.get_pixel(left, top), Rgb([255; 3]));
    assert_eq!(*picture.get_pixel(left + 10, top + 10), Rgb([0; 3]));
    assert_eq!(*picture.get_pixel(left + 5, top + 5), Rgb([128; 3]));
    for i in 0..193 {
        assert_eq!(*picture.get_pixel(i, 12), Rgb([0; 3]), "a line between the rows");
    }
    let large = filters(&checkpoint, 3).unwrap();
    assert_eq!(large.dimensions(), (16 * 34 + 1, 3 * 34 + 1));
    assert_eq!(*large.get_pixel(34 + 3, 34 + 3), Rgb([255; 3]));
}

#[test]
fn grey_kernels_have_no_colour() {
    let mut checkpoint = checkpoint(2);
    let weights = checkpoint.parameters.get_mut(0);
    for (map, kernel) in weights.chunks_exact_mut(363).enumerate() {
        for place in 0..121 {
            let value = (place as f32 - 60.0) / 60.0;
            // The first column sees brightness, the second red against green.
            let [r, g, b] = if map < 24 { [value; 3] } else { [value, -value, 0.0] };
            (kernel[place], kernel[121 + place], kernel[242 + place]) = (r, g, b);
        }
    }
    let [grey, coloured] = &colour_indices(&checkpoint).unwrap()[..] else { panic!("two columns") };
    assert!(grey.kernels.len() == 24 && grey.mean() < 1e-9, "{}", grey.mean());
    assert!((coloured.mean() - 1.0).abs() < 1e-9, "{}", coloured.mean());
}

#[test]
fn curves_hold_every_evaluation() {
    let train = |step: u64| Record::Train {
        step,
        epoch: step as f64 / 10.0,
        loss: 7.0 - step as f64 / 20.0,
        top1_error: 0.9,
        rate: 0.01,
        images_per_second: 9.0,
        time: 0.0,
    };
    let validation = |step: u64| Record::Validation {
        step,
        epoch: step as f64 / 10.0,
        loss: 6.0,
        top1_error: 0.8,
        top5_error: 0.5,
        images: 100,
        time: 0.0,
    };
    let records: Vec<Record> = (1..=40).flat_map(|s| [train(s), validation(s)]).collect();
    let svg = curves("runs/a & <b>", &records).unwrap();
    assert_eq!(svg.matches("<circle").count(), 3 * 40);
    assert_eq!(svg.matches("<polyline").count(), 5);
    assert!(svg.contains("runs/a &amp; &lt;b&gt;") && svg.ends_with("</svg>\n"));
    assert!(curves("none", &[]).is_err());
    // A loss that is no number is left out, not drawn.
    let broken = Record::Validation {
        step: 41,
        epoch: 4.1,
        loss: f64::NAN,
        top1_error: 1.0,
        top5_error: 1.0,
        images: 1,
        time: 0.0,
    };
    assert!(!curves("a", &[&records[..], &[broken]].concat()).unwrap().contains("NaN"));
}
