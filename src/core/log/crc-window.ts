/**
 * The checksums of a window of positions, near each other and moving on: what a replica remembers of its own entries. A Map
 * does the same, and was a tenth of a follower's work, for each entry is put in and taken out once.
 */
const SLOTS_MIN = 16_384

export class CrcWindow {
  /** Slot of a position: its last bits. 0: free. */
  #positions = new Float64Array(SLOTS_MIN)
  #crcs = new Uint32Array(SLOTS_MIN)

  constructor(crcs: Iterable<readonly [position: number, crc: number]> = []) {
    for (const [position, crc] of crcs) this.set(position, crc)
  }

  get(position: number): number | undefined {
    const slot = this.#slotOf(position)
    return this.#positions[slot] === position ? this.#crcs[slot] : undefined
  }

  set(position: number, crc: number): void {
    let slot = this.#slotOf(position)
    // Two positions of one window share a slot: the window has become wider than there are slots.
    for (; this.#positions[slot] !== 0 && this.#positions[slot] !== position; slot = this.#slotOf(position))
      this.#widen()
    this.#positions[slot] = position
    this.#crcs[slot] = crc
  }

  delete(position: number): void {
    const slot = this.#slotOf(position)
    if (this.#positions[slot] === position) this.#positions[slot] = 0
  }

  /** Positions may be beyond 32 bits, and whole multiples of the slots are cut off either way. */
  #slotOf(position: number): number {
    return position % this.#positions.length
  }

  #widen(): void {
    const [positions, crcs] = [this.#positions, this.#crcs]
    this.#positions = new Float64Array(2 * positions.length)
    this.#crcs = new Uint32Array(2 * positions.length)
    for (const [at, position] of positions.entries()) if (position !== 0) this.set(position, crcs[at]!)
  }
}
