import type { JsonRecord } from "./json-record.js";
import { RecordCorrupt } from "./json-record.js";
import type { OwnSettings, QueueField } from "./queue-settings.js";

/**
 * The settings in a record, of those that its owner may have; a record that was made before there were settings has none.
 * @param owner whose record it is, for errors
 */
export function settingsIn<F extends QueueField>(owner: string, record: JsonRecord, fields: readonly F[]): Pick<OwnSettings, F> {
  const settings = fields.map((field) => [field, field === "onPoison" ? onPoison(owner, record) : record.optionalNumber(field)] as const);
  return Object.fromEntries(settings.filter(([, value]) => value !== undefined)) as Pick<OwnSettings, F>;
}

function onPoison(owner: string, record: JsonRecord): string | undefined {
  const rule = record.optionalText("onPoison");
  if (rule !== undefined && rule !== "DEAD_LETTER" && rule !== "BLOCK_LANE") throw new RecordCorrupt(`${owner} has the unknown on_poison ${rule}`);
  return rule;
}
