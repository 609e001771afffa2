/** A generated enum, which maps both ways. */
type WireEnum = Readonly<Record<string, string | number>>;

/** The name of an enum value; "UNRECOGNIZED" for one that a newer broker sent and this client does not know. */
export function enumName(values: WireEnum, value: number): string {
  const name = values[value];
  return typeof name === "string" ? name : "UNRECOGNIZED";
}
