// Writes world.json and countries.json from two npm packages; see README.md beside this file.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/`);
const codes = require("i18n-iso-countries");
codes.registerLocale(require("i18n-iso-countries/langs/en.json"));

const world = JSON.parse(readFileSync(require.resolve("world-atlas/countries-110m.json")));
for (const country of world.objects.countries.geometries) {
  // Somaliland, Northern Cyprus and Kosovo have no ISO number there; Kosovo's code is the one that GeoLite2 gives.
  country.id = codes.numericToAlpha2(country.id) ?? { Kosovo: "XK" }[country.properties.name] ?? "";
}
delete world.objects.land;
// Antarctica has no shoppers, and takes a quarter of the picture.
world.objects.countries.geometries = world.objects.countries.geometries.filter((country) => country.id !== "AQ");
writeFileSync("world.json", JSON.stringify(world));

const names = { ...codes.getNames("en", { select: "alias" }), XK: "Kosovo" };
const sorted = Object.fromEntries(Object.entries(names).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync("countries.json", JSON.stringify(sorted, null, 1) + "\n");
