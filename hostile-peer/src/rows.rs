//! The rows of the conformance table, and those that wait for a feature.

/// Every row and the role under test: `S` for our server, `C` for our client, `B` for both.
#[rustfmt::skip]
pub const ROWS: &[(&str, char)] = &[
    ("P01", 'S'), ("P02", 'B'), ("P03", 'S'), ("P04", 'C'), ("P05", 'C'), ("P06", 'C'), ("P07", 'S'), ("P08", 'S'), ("P09", 'S'), ("P10", 'B'), ("P11", 'B'), ("P12", 'B'), ("P13", 'B'), ("P14", 'B'), ("P15", 'B'), ("P16", 'B'), ("P17", 'B'), ("P18", 'B'), ("P19", 'B'), ("P20", 'S'), ("P21", 'C'),
    ("F01", 'B'), ("F02", 'B'), ("F03", 'B'), ("F04", 'B'), ("F05", 'S'), ("F06", 'B'), ("F07", 'B'), ("F08", 'B'), ("F09", 'B'), ("F10", 'B'), ("F11", 'B'), ("F12", 'B'), ("F13", 'B'), ("F14", 'B'), ("F15", 'B'), ("F16", 'C'), ("F17", 'B'), ("F18", 'B'), ("F19", 'B'), ("F20", 'B'), ("F21", 'B'), ("F22", 'B'), ("F23", 'B'), ("F24", 'B'), ("F25", 'B'), ("F26", 'B'), ("F27", 'B'), ("F28", 'B'), ("F29", 'B'), ("F30", 'S'), ("F31", 'B'), ("F32", 'B'), ("F33", 'B'), ("F34", 'B'),
    ("X01", 'B'), ("X02", 'S'), ("X03", 'B'), ("X04", 'B'), ("X05", 'C'), ("X06", 'B'), ("X07", 'B'), ("X08", 'B'), ("X09", 'S'), ("X10", 'B'), ("X11", 'S'), ("X12", 'B'), ("X13", 'C'), ("X14", 'B'), ("X15", 'S'),
    ("M01", 'S'), ("M02", 'S'), ("M03", 'C'), ("M04", 'S'), ("M05", 'B'), ("M06", 'B'),
    ("H01", 'S'), ("H02", 'B'), ("H03", 'S'), ("H04", 'B'), ("H05", 'B'), ("H06", 'B'), ("H07", 'B'), ("H08", 'S'), ("H09", 'S'), ("H10", 'B'), ("H11", 'B'), ("H12", 'B'), ("H13", 'B'), ("H14", 'B'), ("H15", 'S'), ("H16", 'C'), ("H17", 'C'), ("H18", 'B'), ("H19", 'B'), ("H20", 'B'), ("H21", 'B'), ("H22", 'B'), ("H23", 'B'), ("H24", 'B'), ("H25", 'B'), ("H26", 'B'), ("H27", 'C'), ("H28", 'S'),
    ("Q01", 'B'), ("Q02", 'B'), ("Q03", 'B'), ("Q04", 'B'), ("Q05", 'B'), ("Q06", 'B'), ("Q07", 'B'), ("Q08", 'B'), ("Q09", 'B'), ("Q10", 'B'), ("Q11", 'B'), ("Q12", 'B'), ("Q13", 'B'), ("Q14", 'B'), ("Q15", 'B'), ("Q16", 'B'), ("Q17", 'C'),
    ("W01", 'B'), ("W02", 'B'), ("W03", 'B'), ("W04", 'B'), ("W05", 'B'), ("W06", 'B'), ("W07", 'B'), ("W08", 'B'), ("W09", 'B'), ("W10", 'B'), ("W11", 'B'), ("W12", 'B'), ("W13", 'B'), ("W14", 'B'), ("W15", 'S'), ("W16", 'C'), ("W17", 'S'), ("W18", 'C'), ("W19", 'C'), ("W20", 'B'), ("W21", 'B'), ("W22", 'B'), ("W23", 'C'), ("W24", 'S'), ("W25", 'C'),
];

/// A row, or a part of one, whose feature does not exist yet.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// The row.
    pub id: &'static str,
    /// The part; empty for the whole row.
    pub part: &'static str,
    /// The missing feature.
    pub waits_for: &'static str,
}

const fn pending(id: &'static str, part: &'static str, waits_for: &'static str) -> Pending {
    Pending { id, part, waits_for }
}

/// The rows that wait for a feature.
pub const PENDING: &[Pending] = &[
    pending("F29", "zero-length IDs", "an endpoint that issues connection IDs of length zero"),
    pending("F34", "first half", "a switch that leaves reset_stream_at out: this stack always offers it"),
    pending(
        "X07",
        "forged downgrade",
        "a second version: a client of one never connects again after Version Negotiation",
    ),
    pending("X13", "storage of tickets", "a ticket store of our own: the TLS library holds a bounded number"),
];
