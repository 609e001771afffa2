import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

/** A place in src/ where an error is made. */
export interface ErrorSite {
  readonly place: string;
  /** Undefined: it is passed in. */
  readonly reason: string | undefined;
  /** The keys of its metadata; undefined when they are not written there. */
  readonly keys: readonly string[] | undefined;
}

/** Every `new BrokerError(…)` under a folder, as it stands in the text. */
export function errorSites(folder: string): readonly ErrorSite[] {
  const sites: ErrorSite[] = [];
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".ts")) continue;
    const source = ts.createSourceFile(name, readFileSync(join(folder, name), "utf8"), ts.ScriptTarget.ESNext, true);
    const visit = (node: ts.Node): void => {
      if (ts.isNewExpression(node) && node.expression.getText(source) === "BrokerError") sites.push(siteOf(node, source));
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  return sites;
}

function siteOf(node: ts.NewExpression, source: ts.SourceFile): ErrorSite {
  const [reason, , metadata] = node.arguments ?? [];
  const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
  return { place: `${source.fileName}:${line + 1}`, reason: reason !== undefined && ts.isStringLiteral(reason) ? reason.text : undefined, keys: keysOf(metadata) };
}

function keysOf(metadata: ts.Expression | undefined): readonly string[] | undefined {
  if (metadata === undefined) return [];
  if (!ts.isObjectLiteralExpression(metadata)) return undefined;
  const names = metadata.properties.map(({ name }) => name);
  return names.every((name) => name !== undefined && ts.isIdentifier(name)) ? names.map((name) => (name).text) : undefined;
}
