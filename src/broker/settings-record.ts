import type { JsonRecord } from "./json-record.js";
import { RecordCorrupt } from "./json-record.js";
import type { OwnSettings, QueueField } from "./queue-settings.js";

/** What a record has in words; the rest is numbers. */
const RULES: { readonly [F in QueueField]?: { readonly path: string; readonly allowed: readonly string[] } } = {
  onPoison: { path: "on_poison", allowed: ["DEAD_LETTER", "BLOCK_LANE"] },
  onExpiry: { path: "on_expiry", allowed: ["SETTLE", "DEAD_LETTER"] },
  retentionMode: { path: "retention.mode", allowed: ["UNTIL_ACKED", "LOG"] },
  whenFull: { path: "retention.when_full", allowed: ["DROP_OLDEST", "REJECT_NEW"] },
};

/**
 * The settings in a record, of those that its owner may have; a record that was made before there were settings has none.
 * @param owner whose record it is, for errors
 */
export function settingsIn<F extends QueueField>(owner: string, record: JsonRecord, fields: readonly F[]): Pick<OwnSettings, F> {
  const settings = fields.map((field) => [field, read(owner, record, field)] as const);
  return Object.fromEntries(settings.filter(([, value]) => value !== undefined)) as Pick<OwnSettings, F>;
}

function read(owner: string, record: JsonRecord, field: QueueField): string | number | undefined {
  const rule = RULES[field];
  if (rule === undefined) return record.optionalNumber(field);
  const said = record.optionalText(field);
  if (said !== undefined && !rule.allowed.includes(said)) throw new RecordCorrupt(`${owner} has the unknown ${rule.path} ${said}`);
  return said;
}
