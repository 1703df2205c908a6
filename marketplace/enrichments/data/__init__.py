"""Lists of sites and click ids, as JSON files that name their origin, licence and date; see source-lists.md."""
