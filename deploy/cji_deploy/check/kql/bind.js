// Reads YAML and binds KQL for deploy/cji_deploy/check/kusto.py. Input and output are one JSON document on stdin and stdout.
//
//   in   { workspaces: {name: {tables: {name: {column: type}},
//                              functions: {name: {parameters: ["name: type"], columns: {column: type}}}}},
//          documents: {name: yaml}, queries: {name: {text, workspace}}, trees: bool }
//   out  { documents: {name: {value, at: {pointer: [line, column]}, blocks: {pointer: [line, column]}, errors}},
//          queries: {name: {errors: [{line, column, code, message}], columns: {column: type}, tree}} }
//
// Lines and columns count from 1. `at` is where a value begins, `blocks` where the text of a literal block begins: a
// position in the text is the position in the file after adding them.
'use strict';
const YAML = require('yaml');
let Kusto; // loaded only to bind: it takes most of a second

function load() {
  require('@kusto/language-service-next/bridge.min.js');
  require('@kusto/language-service-next/Kusto.Language.Bridge.min.js');
  Kusto = globalThis.Kusto.Language;
}

function readDocument(text) {
  const counter = new YAML.LineCounter();
  const document = YAML.parseDocument(text, {lineCounter: counter, uniqueKeys: true, version: '1.2', merge: false});
  const place = offset => { const {line, col} = counter.linePos(offset); return [line, col]; };
  const errors = [...document.errors, ...document.warnings].map(error => {
    const [line, column] = place(error.pos[0]);
    return {line, column, message: error.message.split('\n')[0]};
  });
  const at = {}, blocks = {};
  const walk = (node, pointer) => {
    if (!node) return;
    if (YAML.isAlias(node)) errors.push(refuse(node, 'an alias')); // one file, read from top to bottom
    if (node.range) at[pointer] = place(node.range[0]);
    if (YAML.isMap(node)) {
      for (const pair of node.items) walk(pair.value ?? pair.key, `${pointer}/${pair.key?.value}`);
    } else if (YAML.isSeq(node)) {
      node.items.forEach((item, index) => walk(item, `${pointer}/${index}`));
    } else if (node.type === 'BLOCK_LITERAL') {
      const first = place(node.range[0])[0] + 1;
      const line = text.split('\n').slice(first - 1).find(each => each.trim()) ?? '';
      blocks[pointer] = [first, line.length - line.trimStart().length + 1];
    }
  };
  const refuse = (node, what) => {
    const [line, column] = place(node.range[0]);
    return {line, column, message: `${what} is not allowed`};
  };
  walk(document.contents, '');
  return {value: errors.length ? null : document.toJS({maxAliasCount: 0}), at, blocks, errors};
}

const columnsText = columns => `(${Object.entries(columns).map(([name, type]) => `['${name}']: ${type}`).join(', ')})`;

function globals(tables, functions) {
  const symbols = Object.entries(tables).map(([name, columns]) =>
    new Kusto.Symbols.TableSymbol.$ctor7(name, columnsText(columns), null));
  for (const [name, {parameters, columns}] of Object.entries(functions)) {
    const body = `{ datatable${columnsText(columns)}[] }`;
    symbols.push(new Kusto.Symbols.FunctionSymbol.$ctor16(name, `(${parameters.join(', ')})`, body, null));
  }
  return Kusto.GlobalState.Default.WithDatabase(new Kusto.Symbols.DatabaseSymbol.ctor('workspace', symbols));
}

function position(text, offset) {
  const before = text.slice(0, offset).split('\n');
  return {line: before.length, column: before[before.length - 1].length + 1};
}

// [kind, text, type] of a token, [kind, [[role, child]...], type, offset] of a node
function tree(node) {
  const kind = System.Enum.toString(Kusto.Syntax.SyntaxKind, node.Kind);
  const type = node.ResultType ? node.ResultType.Name : null;
  if (node.IsToken) return [kind, node.Text, type, node.TextStart];
  const children = [];
  for (let index = 0; index < node.ChildCount; index++) {
    const child = node.GetChild(index);
    if (child) children.push([node.GetName(index), tree(child)]);
  }
  return [kind, children, type, node.TextStart];
}

function bind(text, state, withTree) {
  const code = Kusto.KustoCode.ParseAndAnalyze(text, state);
  const found = code.GetDiagnostics();
  const errors = [];
  for (let index = 0; index < found.Count; index++) {
    const each = found.getItem(index);
    errors.push({...position(text, each.Start), code: each.Code, message: each.Message});
  }
  const columns = {};
  const result = code.ResultType;
  if (result && result.Columns) {
    for (let index = 0; index < result.Columns.Count; index++) {
      const column = result.Columns.getItem(index);
      columns[column.Name] = column.Type.Name;
    }
  }
  return {errors, columns, tree: withTree ? tree(code.Syntax) : null};
}

const input = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const output = {documents: {}, queries: {}};
for (const [name, text] of Object.entries(input.documents)) output.documents[name] = readDocument(text);
const states = {};
if (Object.keys(input.queries).length) load();
for (const [name, {tables, functions}] of Object.entries(input.workspaces)) states[name] = globals(tables, functions);
for (const [name, {text, workspace}] of Object.entries(input.queries)) {
  output.queries[name] = bind(text, states[workspace], input.trees);
}
process.stdout.write(JSON.stringify(output));
