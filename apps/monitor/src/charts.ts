import uPlot from 'uplot';
import { lagText, make, numberText, section, setText } from './dom.ts';
import { SHOWN_MS, type Total } from './samples.ts';

const HEIGHT = 132;

interface Line {
  label: string;
  /** The custom property with its colour. */
  color: string;
  of: (total: Total) => number | null;
}

interface Chart {
  title: string;
  text: (value: number | null) => string;
  lines: Line[];
}

const CHARTS: Chart[] = [
  {
    title: 'Deliveries per second',
    text: (value) => numberText(value ?? 0),
    lines: [{ label: 'deliveries', color: '--accent', of: ({ deliveries }) => deliveries }],
  },
  {
    title: 'Connections',
    text: (value) => numberText(value ?? 0),
    lines: [{ label: 'connections', color: '--good', of: ({ connections }) => connections }],
  },
  {
    title: 'Lag until written',
    text: lagText,
    lines: [
      { label: 'p50', color: '--accent', of: ({ lagP50 }) => lagP50 },
      { label: 'p99', color: '--warn', of: ({ lagP99 }) => lagP99 },
    ],
  },
];

export interface Charts {
  elements: HTMLElement[];
  show(totals: readonly Total[]): void;
}

/** The colour that a custom property has now: a canvas knows no custom properties. */
function colorOf(property: string): string {
  const probe = make('span', { hidden: true });
  probe.style.color = `var(${property})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

function createChart({ title, text, lines }: Chart): { element: HTMLElement; show: Charts['show'] } {
  const values = lines.map(() => make('b', {}, '–'));
  const legend = make('p', { class: 'legend' });
  for (const [index, { label, color }] of lines.entries()) {
    const swatch = make('i', { class: `swatch ${color.slice(2)}`, 'aria-hidden': 'true' });
    legend.append(make('span', {}, swatch, lines.length > 1 ? `${label} ` : '', values[index] ?? ''));
  }
  const canvas = make('div', { class: 'plot', role: 'img', 'aria-label': `${title}, the last 15 minutes` });
  const element = section(title, legend, canvas);
  element.classList.add('chart');
  let plot: uPlot | undefined;
  let shown: readonly Total[] = [];

  function draw(): void {
    plot?.destroy();
    const grid = { stroke: colorOf('--line'), width: 1 };
    const axis: uPlot.Axis = { stroke: colorOf('--dim'), grid, ticks: { show: false }, font: '11px system-ui' };
    const options: uPlot.Options = {
      width: canvas.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, points: { size: 6 } },
      padding: [8, 18, 0, 0],
      scales: {
        x: { time: true, range: (_plot, _min, max) => [max - SHOWN_MS / 1_000, max] },
        y: { range: (_plot, _min, max) => [0, Math.max(1, max * 1.15)] },
      },
      axes: [
        { ...axis, size: 24, space: 70, values: (_plot, ticks) => ticks.map((tick) => clockText(tick)) },
        { ...axis, size: 54, space: 30, values: (_plot, ticks) => ticks.map((tick) => text(tick)) },
      ],
      series: [
        {},
        ...lines.map(({ label, color }, index) => ({
          label,
          stroke: colorOf(color),
          width: 1.75,
          ...(lines.length === 1 && index === 0 ? { fill: colorOf(`${color}-soft`) } : {}),
          // They are drawn where there are few, such as the first sample of a relay.
          points: { size: 4 },
          spanGaps: false,
        })),
      ],
      hooks: { setCursor: [showValues] },
    };
    plot = new uPlot(options, dataOf(), canvas);
  }

  function dataOf(): uPlot.AlignedData {
    return [shown.map(({ at }) => at), ...lines.map(({ of }) => shown.map(of))];
  }

  /** The values under the pointer, and without one those of the last interval. */
  function showValues(): void {
    const total = shown[plot?.cursor.idx ?? shown.length - 1] ?? shown.at(-1);
    for (const [index, { of }] of lines.entries()) {
      const value = values[index];
      if (value) setText(value, total ? text(of(total)) : '–');
    }
  }

  new ResizeObserver(() => plot?.setSize({ width: canvas.clientWidth, height: HEIGHT })).observe(canvas);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  return {
    element,
    show(totals) {
      shown = totals;
      if (plot) plot.setData(dataOf());
      else draw();
      showValues();
    },
  };
}

function clockText(seconds: number): string {
  const date = new Date(seconds * 1_000);
  return `${String(date.getHours()).padStart(2, '0')}:${String(date.getMinutes()).padStart(2, '0')}`;
}

export function createCharts(): Charts {
  const charts = CHARTS.map(createChart);
  return {
    elements: charts.map(({ element }) => element),
    show(totals) {
      for (const chart of charts) chart.show(totals);
    },
  };
}
