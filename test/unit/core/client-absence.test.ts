import { expect } from "chai";
import { ClientAbsence } from "../../../src/core/client-absence.js";
import { monotonicMs, wallMs, type Now } from "../../../src/core/units.js";

const HOUR = 3_600_000;
const CREATED = wallMs(1_000_000);

/** The clocks so long after the creation; the monotonic one began elsewhere. */
function at(ms: number): Now {
  return { monotonicMs: monotonicMs(500 + ms), wallMs: wallMs(CREATED + ms) };
}

describe("The absence of clients", () => {
  it("of a subscriber that never had one is counted from its creation", () => {
    const absence = ClientAbsence.restored({ kind: "never" }, CREATED, at(HOUR / 2));
    expect(absence.expiresAt(HOUR)).to.equal(at(HOUR).monotonicMs);
    expect(absence.expireTimeMs(HOUR, at(HOUR / 2))).to.equal(CREATED + HOUR);
    expect([absence.lastClientTimeMs, absence.presence]).to.deep.equal([undefined, { kind: "never" }]);
  });

  it("begins when the last client goes, and goes on over a restart", () => {
    const absence = ClientAbsence.restored({ kind: "never" }, CREATED, at(0));
    absence.connected();
    expect([absence.expiresAt(HOUR), absence.lastClientTimeMs, absence.presence]).to.deep.equal([undefined, undefined, { kind: "connected" }]);
    absence.gone(at(HOUR));
    expect(absence.expiresAt(HOUR)).to.equal(at(2 * HOUR).monotonicMs);
    const again = ClientAbsence.restored(absence.presence, CREATED, at(1.5 * HOUR));
    expect([again.expiresAt(HOUR), again.lastClientTimeMs]).to.deep.equal([at(2 * HOUR).monotonicMs, CREATED + HOUR]);
  });

  it("begins with the restart where the process died under a client, or nothing is known", () => {
    for (const presence of [{ kind: "connected" } as const, undefined]) {
      const absence = ClientAbsence.restored(presence, CREATED, at(100 * HOUR));
      expect(absence.expiresAt(HOUR)).to.equal(at(101 * HOUR).monotonicMs);
      expect(absence.presence).to.deep.equal({ kind: "left", timeMs: CREATED + 100 * HOUR });
    }
  });

  it("begins anew when a client is about to come, though none has come yet", () => {
    const absence = ClientAbsence.restored({ kind: "never" }, CREATED, at(0));
    absence.announced(at(HOUR - 1));
    expect(absence.expiresAt(HOUR)).to.equal(at(2 * HOUR - 1).monotonicMs);
    expect(absence.presence).to.deep.equal({ kind: "never" });
    absence.connected();
    absence.announced(at(HOUR));
    expect(absence.presence).to.deep.equal({ kind: "connected" });
  });

  it("never lasts longer than the clock of this process has gone, whatever the wall clock does", () => {
    const absence = ClientAbsence.restored({ kind: "never" }, CREATED, at(0));
    absence.gone({ ...at(0), wallMs: wallMs(CREATED + 10_000 * HOUR) });
    expect(absence.expiresAt(HOUR)).to.equal(at(HOUR).monotonicMs);
    // Started again with a wall clock that went back: no time has passed.
    expect(ClientAbsence.restored(absence.presence, CREATED, at(HOUR)).expiresAt(HOUR)).to.equal(at(2 * HOUR).monotonicMs);
  });

  it("ends in nothing where subscribers do not expire", () => {
    const absence = ClientAbsence.restored({ kind: "never" }, CREATED, at(HOUR));
    expect([absence.expiresAt(0), absence.expireTimeMs(0, at(HOUR))]).to.deep.equal([undefined, undefined]);
  });
});
