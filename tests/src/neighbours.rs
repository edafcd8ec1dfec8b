//! The buildings of the demo: one with every kind of wire, and smaller ones of the same owner, so that
//! there is something to compare it with.

/// A building that a gateway measures.
#[derive(Debug)]
pub struct Subject {
    /// What its owner calls it.
    pub name: &'static str,
    /// Its folder beside the others'.
    pub folder: &'static str,
    /// The simulator's file of it; without one it is the simulator's own.
    pub file: Option<&'static str>,
    /// The number of its service line.
    pub line: &'static str,
    /// What the line costs in a year, in kr without VAT.
    pub annual_fee: u32,
}

/// The house that the demo is about.
pub const KVERNHUSGATA: Subject =
    Subject { name: "Kvernhusgata 4", folder: "", file: None, line: "4711", annual_fee: 12_000 };

/// The others of the portfolio.
pub const NEIGHBOURS: [&Subject; 2] = [
    &Subject {
        name: "Skolegata 12",
        folder: "skolegata",
        file: Some(include_str!("neighbours/skolegata.toml")),
        line: "4712",
        annual_fee: 8_400,
    },
    &Subject {
        name: "Havnegata 3",
        folder: "havnegata",
        file: Some(include_str!("neighbours/havnegata.toml")),
        line: "4713",
        annual_fee: 6_000,
    },
];
