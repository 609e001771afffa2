import { invalidField } from "../core/names.js";

/** `*` in an update_mask. */
const ALL_FIELDS = "*";

/**
 * One field that may be set: what a request says there, undefined when it says nothing. Throws INVALID_FIELD for a value that is
 * not allowed.
 */
export type FieldReader<From, To> = (from: From, field: string) => To;

/** Every path that an update_mask may name, and by which another one begins. */
export type FieldReaders<From, To> = ReadonlyMap<string, FieldReader<From, To>>;

/** What a request says at these paths, all by default. `resource` is where it has them. */
export function readFields<From, To extends object>(fields: FieldReaders<From, To>, resource: string, from: From, paths: Iterable<string> = fields.keys()): To {
  return Object.assign({}, ...[...paths].map((path) => fields.get(path)?.(from, `${resource}.${path}`))) as To;
}

/** The paths that a mask stands for: each itself, or all below it. INVALID_FIELD for one that stands for nothing. */
export function pathsIn(fields: FieldReaders<never, unknown>, mask: readonly string[]): ReadonlySet<string> {
  const known = [...fields.keys()];
  const paths = mask.flatMap((path) => {
    if (path === ALL_FIELDS) return known;
    const under = known.filter((each) => each === path || each.startsWith(`${path}.`));
    if (under.length === 0) throw invalidField("update_mask", path, `*, ${known.join(", ")}, or what these begin with`);
    return under;
  });
  return new Set(paths);
}
