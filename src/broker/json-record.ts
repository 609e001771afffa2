const FORMAT = 1;

/** A stored record is not what this version wrote or reads. */
export class RecordCorrupt extends Error {
  override readonly name = "RecordCorrupt";
}

/** A small record as JSON with its format in front; rare ones only, so that people can read them. */
export function encodeRecord(fields: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.from(JSON.stringify({ format: FORMAT, ...fields }));
}

/** One record that `encodeRecord` made, field by field. Every getter throws RecordCorrupt on another type. */
export class JsonRecord {
  private readonly fields: Readonly<Record<string, unknown>>;

  /** @param what names the record in errors */
  constructor(bytes: Buffer, private readonly what: string) {
    const parsed = parse(bytes, what);
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw new RecordCorrupt(`${what} is no record`);
    this.fields = Object.fromEntries(Object.entries(parsed));
    if (this.fields["format"] !== FORMAT) throw new RecordCorrupt(`${what} has format ${String(this.fields["format"])}; this version reads ${FORMAT}`);
  }

  text(field: string): string {
    const value = this.fields[field];
    if (typeof value !== "string") throw this.corrupt(field);
    return value;
  }

  texts(field: string): readonly string[] {
    const value = this.fields[field];
    if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) throw this.corrupt(field);
    return value;
  }

  /** A whole number from 0 on. */
  count(field: string): number {
    const value = this.fields[field];
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw this.corrupt(field);
    return value;
  }

  /** Whole numbers from 0 on. */
  counts(field: string): readonly number[] {
    const value = this.fields[field];
    if (!Array.isArray(value) || !value.every((item): item is number => typeof item === "number" && Number.isSafeInteger(item) && item >= 0)) throw this.corrupt(field);
    return value;
  }

  /** A number from 0 on; undefined when the record does not have it. */
  optionalNumber(field: string): number | undefined {
    const value = this.fields[field];
    if (value !== undefined && (typeof value !== "number" || !(value >= 0))) throw this.corrupt(field);
    return value;
  }

  /** Undefined when the record does not have it. */
  optionalText(field: string): string | undefined {
    return this.fields[field] === undefined ? undefined : this.text(field);
  }

  private corrupt(field: string): RecordCorrupt {
    return new RecordCorrupt(`${this.what} has no valid field ${field}`);
  }
}

function parse(bytes: Buffer, what: string): unknown {
  try {
    const parsed: unknown = JSON.parse(bytes.toString());
    return parsed;
  } catch (error) {
    throw new RecordCorrupt(`${what} is no JSON`, { cause: error });
  }
}
