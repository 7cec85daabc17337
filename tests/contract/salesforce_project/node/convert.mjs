// Resolves a source folder and converts it to the form that a deployment sends; prints what it found as JSON.
// Usage: node convert.mjs SOURCE_DIR OUTPUT_DIR
import sdr from '@salesforce/source-deploy-retrieve';

const [, , source, output] = process.argv;
const components = sdr.ComponentSet.fromSource(source);
components.sourceApiVersion = '67.0';
const converted = await new sdr.MetadataConverter().convert(components, 'metadata', {
  type: 'directory',
  outputDirectory: output,
  packageName: 'package',
  genUniqueDir: false,
});
const found = components.getSourceComponents().toArray().map((each) => ({ type: each.type.name, name: each.fullName }));
const manifest = await components.getPackageXml();
console.log(JSON.stringify({ found, manifest, output: converted.packagePath }));
