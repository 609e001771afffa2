import { expect } from "chai";
import { SETTING_NAMES, settingEntry } from "../../../src/config/setting-catalog.js";
import { settingsInFile, effectiveSettings } from "../../../src/config/said-settings.js";
import { repositoryText } from "./descriptor-set.js";

const text = repositoryText("docs/configuration.md");

describe("docs/configuration.md", () => {
  it("has every setting with its flag, variable, default and meaning, and no other", () => {
    const rows = SETTING_NAMES.map((name) => {
      const { flag, short, variable, default: value, allowed, about } = settingEntry(name);
      return `| \`${name}\` | \`${flag}\`${short === undefined ? "" : `, \`-${short}\``} | \`${variable}\` | \`${value}\` | ${allowed} | ${about} |`;
    });
    expect(text.split("\n").filter((line) => line.startsWith("| `"))).to.deep.equal(rows);
  });

  it("shows a file that the server takes", () => {
    const example = /```json\n([^`]*)```/.exec(text)?.[1] ?? "";
    expect(effectiveSettings(settingsInFile("the example", example)).settings).to.include({ dataDirectory: "/var/lib/tidemark", autoCreateQueues: false });
  });
});
