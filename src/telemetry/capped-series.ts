/** What stands in a label for all that came beyond the cap. No queue or subscriber can have that name. */
export const OTHER = "(other)";

/** One series, or several that have the same labels. */
export interface Series<Tally, Sums> {
  readonly labels: Readonly<Record<string, string>>;
  readonly isOther: boolean;
  readonly tally: Tally;
  /** Gauges, added up over all that share the series, as of the scrape at hand; undefined when nobody was seen. */
  sums: Sums | undefined;
}

/**
 * Series by name, up to a cap; whoever comes beyond shares one. Who has come to share keeps adding to the shared tally for as
 * long as it lives, so that no counter ever goes back.
 */
export class CappedSeries<Tally, Sums> {
  private readonly own = new Map<string, Series<Tally, Sums>>();
  private other: Series<Tally, Sums> | undefined;

  /** @param otherLabels of the shared series */
  constructor(
    private readonly max: number,
    private readonly otherLabels: Readonly<Record<string, string>>,
    private readonly freshTally: () => Tally,
  ) {}

  /** The series of a name; made when there is none yet. `ownLabels` undefined: the name may not have one of its own. */
  series(name: string, ownLabels: Readonly<Record<string, string>> | undefined): Series<Tally, Sums> {
    const known = this.own.get(name);
    if (known !== undefined) return known;
    if (ownLabels === undefined || this.own.size >= this.max) return (this.other ??= this.fresh(this.otherLabels, true));
    const made = this.fresh(ownLabels, false);
    this.own.set(name, made);
    return made;
  }

  /** The series in which a name is to be found; undefined when it was never asked for. */
  find(name: string): Series<Tally, Sums> | undefined {
    return this.own.get(name) ?? this.other;
  }

  hasOwn(name: string): boolean {
    return this.own.has(name);
  }

  /** The name is gone; its place is free for another. */
  forget(name: string): void {
    this.own.delete(name);
  }

  /** All of them, the shared one last. */
  *all(): Iterable<Series<Tally, Sums>> {
    yield* this.own.values();
    if (this.other !== undefined) yield this.other;
  }

  /** Begins a scrape: nothing is added up yet. */
  clearSums(): void {
    for (const series of this.all()) series.sums = undefined;
  }

  private fresh(labels: Readonly<Record<string, string>>, isOther: boolean): Series<Tally, Sums> {
    return { labels, isOther, tally: this.freshTally(), sums: undefined };
  }
}
