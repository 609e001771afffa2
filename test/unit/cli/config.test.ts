import { expect } from "chai";
import { settingsAsJson, settingsAsTable } from "../../../src/cli/config.js";
import { paintFor } from "../../../src/cli/terminal.js";
import { effectiveSettings, settingOfFlag } from "../../../src/config/said-settings.js";

describe("tidemark config", () => {
  const { origins } = effectiveSettings([settingOfFlag("dataDirectory", "--data", "a\u001bb")]);

  it("shows an aligned table on a terminal, safe from control characters", () => {
    const lines = settingsAsTable(origins, paintFor({}, {}));
    expect(lines).to.have.length(origins.length + 1);
    const column = (lines[0] ?? "").indexOf("FROM");
    expect(lines[2]).to.match(/^dataDirectory +a\\x1bb +--data$/);
    for (const line of lines.slice(1)) expect(line.slice(column - 2, column + 1)).to.match(/^ {2}\S$/);
  });

  it("prints each setting with its value and origin as JSON", () => {
    const printed = JSON.parse(settingsAsJson(origins)) as Record<string, unknown>;
    expect(printed["dataDirectory"]).to.deep.equal({ value: "a\u001bb", origin: "flag", said: "--data" });
    expect(printed["freeDiskBytesMin"]).to.include({ origin: "default" });
  });
});
