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
    /// Its heated area.
    pub area_m2: u32,
    /// The meters that count for all of it, by name.
    pub counted: &'static [&'static str],
    /// Where it is, north and east, in millionths of a degree.
    pub position_udeg: [i32; 2],
    /// Its tags, each from the top of the tree.
    pub tags: &'static [&'static [&'static str]],
}

/// The house that the demo is about.
pub const KVERNHUSGATA: Subject = Subject {
    name: "Kvernhusgata 4",
    folder: "",
    file: None,
    line: "4711",
    annual_fee: 12_000,
    area_m2: 4_800,
    counted: &[
        "Fjernvarme, hovedmåler",
        "Fjernkjøling",
        "Strøm, inntak",
        "Gass, restaurant",
        "Vann, inntak",
    ],
    position_udeg: [63_426_800, 10_393_000],
    tags: &[&["Midt", "Trondheim"], &["Yrkesbygg", "Kontor"]],
};

/// The others of the portfolio.
pub const NEIGHBOURS: [&Subject; 2] = [
    &Subject {
        name: "Skolegata 12",
        folder: "skolegata",
        file: Some(include_str!("neighbours/skolegata.toml")),
        line: "4712",
        annual_fee: 8_400,
        area_m2: 3_900,
        counted: &["Fjernvarme, hovedmåler", "Strøm, inntak", "Vann, inntak"],
        position_udeg: [63_436_100, 10_421_100],
        tags: &[&["Midt", "Trondheim"], &["Yrkesbygg", "Skole"]],
    },
    &Subject {
        name: "Havnegata 3",
        folder: "havnegata",
        file: Some(include_str!("neighbours/havnegata.toml")),
        line: "4713",
        annual_fee: 6_000,
        area_m2: 1_650,
        counted: &["Fjernvarme, hovedmåler", "Strøm, fellesareal", "Vann, inntak"],
        position_udeg: [60_394_400, 5_316_900],
        tags: &[&["Vest", "Bergen"], &["Boliger"]],
    },
];
