/** An edge of a directed graph, by the names of its ends. */
interface NamedEdge {
  readonly child: string;
  readonly parent: string;
}

const NONE = -1;

/**
 * A directed graph that is asked again and again which of its edges lie in cycles: with numbers for
 * names, because breaking the cycles of a thousand tables asks a hundred thousand times.
 */
export class EdgeGraph {
  readonly #from: Int32Array;
  readonly #to: Int32Array;
  /** Edges by the node they start at: those of node n stand at `#start[n]` up to `#start[n + 1]`. */
  readonly #start: Int32Array;
  readonly #outgoing: Int32Array;
  /** Of each node, after `#findComponents`. */
  readonly #component: Int32Array;
  readonly #index: Int32Array;
  readonly #low: Int32Array;
  readonly #nodes: number;

  constructor(edges: readonly NamedEdge[]) {
    const numbers = new Map<string, number>();
    const numberOf = (name: string): number => {
      const known = numbers.get(name) ?? numbers.size;
      numbers.set(name, known);
      return known;
    };
    this.#from = Int32Array.from(edges, (edge) => numberOf(edge.child));
    this.#to = Int32Array.from(edges, (edge) => numberOf(edge.parent));
    this.#nodes = numbers.size;
    this.#start = new Int32Array(this.#nodes + 1);
    for (const node of this.#from) this.#start[node + 1] = at(this.#start, node + 1) + 1;
    for (let node = 0; node < this.#nodes; node += 1) {
      this.#start[node + 1] = at(this.#start, node + 1) + at(this.#start, node);
    }
    this.#outgoing = new Int32Array(edges.length);
    const next = this.#start.slice();
    for (const [edge, node] of this.#from.entries()) {
      this.#outgoing[at(next, node)] = edge;
      next[node] = at(next, node) + 1;
    }
    this.#component = new Int32Array(this.#nodes);
    this.#index = new Int32Array(this.#nodes);
    this.#low = new Int32Array(this.#nodes);
  }

  /** For each edge the number of the strongly connected component that holds both its ends, or null. */
  circles(): (number | null)[] {
    this.#findComponents(NONE);
    return Array.from(this.#from, (node, edge) => {
      const component = at(this.#component, node);
      return component === at(this.#component, at(this.#to, edge)) ? component : null;
    });
  }

  /** How many edges lie in cycles where one is left out. */
  inCyclesWithout(left: number): number {
    this.#findComponents(left);
    let count = 0;
    for (let edge = 0; edge < this.#from.length; edge += 1) {
      const component = at(this.#component, at(this.#from, edge));
      if (edge !== left && component === at(this.#component, at(this.#to, edge))) count += 1;
    }
    return count;
  }

  /** Tarjan's algorithm. */
  #findComponents(left: number): void {
    const [index, low, component] = [this.#index, this.#low, this.#component];
    index.fill(NONE);
    component.fill(NONE);
    const stack: number[] = [];
    let visited = 0;
    let components = 0;
    const visit = (node: number): void => {
      const own = visited;
      let lowest = own;
      index[node] = own;
      visited += 1;
      stack.push(node);
      for (let place = at(this.#start, node); place < at(this.#start, node + 1); place += 1) {
        const edge = at(this.#outgoing, place);
        if (edge === left) continue;
        const other = at(this.#to, edge);
        if (at(index, other) === NONE) {
          visit(other);
          lowest = Math.min(lowest, at(low, other));
        } else if (at(component, other) === NONE) {
          lowest = Math.min(lowest, at(index, other));
        }
      }
      low[node] = lowest;
      if (lowest !== own) return;
      for (let member = stack.pop(); member !== undefined; member = stack.pop()) {
        component[member] = components;
        if (member === node) break;
      }
      components += 1;
    };
    for (let node = 0; node < this.#nodes; node += 1) if (at(index, node) === NONE) visit(node);
  }
}

/** Every index here is one that this file has made. */
const at = (numbers: Int32Array, index: number): number => numbers[index] ?? NONE;
