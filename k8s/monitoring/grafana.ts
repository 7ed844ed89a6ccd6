/**
 * Dashboards as Grafana reads them (10 or newer), made with its own builders. For development alone: what is made is in the chart.
 */

import { PanelBuilder as BarsBuilder } from '@grafana/grafana-foundation-sdk/bargauge';
import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog';
import * as common from '@grafana/grafana-foundation-sdk/common';
import * as grafana from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as StatesBuilder } from '@grafana/grafana-foundation-sdk/statetimeline';
import { PanelBuilder as TableBuilder } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as SeriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';
import { metricsPrefix } from '../../trainer/tracking/catalogue.ts';
import type { Choice, Dashboard, Panel } from './dashboard.ts';

const columnsOfGrid = 24;
const heights = { series: 8, stacked: 8, bars: 6, stat: 6, table: 8, states: 5 } as const;
const widthOf = ({ width = 8 }: Panel): number => width;

/** As many side by side as fit. */
function linesOf(panels: readonly Panel[]): Panel[][] {
  const lines: Panel[][] = [[]];
  let free = columnsOfGrid;
  for (const panel of panels) {
    if (widthOf(panel) > free) {
      lines.push([]);
      free = columnsOfGrid;
    }
    lines.at(-1)!.push(panel);
    free -= widthOf(panel);
  }
  return lines;
}

const datasource = { type: 'prometheus', uid: '$' + '{datasource}' };

export function grafanaDashboard({ name, title, about, choices, rows }: Dashboard): grafana.Dashboard {
  const dashboard = new grafana.DashboardBuilder(title)
    .uid(`segfleet-${name}`)
    .description(about)
    .tags(['segfleet'])
    .readonly()
    .tooltip(grafana.DashboardCursorSync.Crosshair)
    .time({ from: 'now-3h', to: 'now' })
    .refresh('30s')
    .withVariable(new grafana.DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'))
    .link(new grafana.DashboardLinkBuilder('segfleet').type(grafana.DashboardLinkType.Dashboards).tags(['segfleet']).keepTime(true));
  for (const choice of choices) dashboard.withVariable(variable(choice));
  let id = 1;
  let y = 0;
  for (const row of rows) {
    dashboard.withRow(new grafana.RowBuilder(row.title).id(id++).gridPos({ x: 0, y, w: columnsOfGrid, h: 1 }));
    y++;
    for (const line of linesOf(row.panels)) {
      const height = Math.max(...line.map(({ kind }) => heights[kind]));
      let x = 0;
      for (const panel of line) {
        dashboard.withPanel(
          panelOf(panel)
            .id(id++)
            .gridPos({ x, y, w: widthOf(panel), h: height }),
        );
        x += widthOf(panel);
      }
      y += height;
    }
  }
  return dashboard.build();
}

function variable(choice: Choice): Builder<grafana.VariableModel> {
  if ('values' in choice) {
    const { name, label, values, first } = choice;
    const option = { text: first, value: first, selected: true };
    return new grafana.CustomVariableBuilder(name).label(label).values(values.join(',')).current(option);
  }
  const { name, label, of, among = {} } = choice;
  const matchers = Object.entries(among).map(([key, value]) => `${key}=~"${value}"`);
  const series = `${metricsPrefix}${of[0]}${matchers.length > 0 ? `{${matchers.join(', ')}}` : ''}`;
  return (
    new grafana.QueryVariableBuilder(name)
      .label(label)
      .datasource(datasource)
      .query({ query: `label_values(${series}, ${of[1]})`, refId: name })
      .refresh(grafana.VariableRefresh.OnTimeRangeChanged)
      .sort(grafana.VariableSort.AlphabeticalAsc)
      .multi(true)
      .includeAll(true)
      // The empty one too: a run on a machine has no namespace, and most are of no sweep.
      .allValue('.*')
      .current({ text: 'All', value: '$__all', selected: true })
  );
}

interface AnyPanel extends Builder<grafana.Panel> {
  id(id: number): this;
  gridPos(place: grafana.GridPos): this;
  title(title: string): this;
  description(text: string): this;
  datasource(datasource: common.DataSourceRef): this;
  unit(unit: string): this;
  min(value: number): this;
  max(value: number): this;
  targets(targets: Builder<Dataquery>[]): this;
}

function panelOf(panel: Panel): AnyPanel {
  const { title, about, needs, unit = 'short', max, kind } = panel;
  const built = visualisation(panel)
    .title(title)
    .description(needs ? `${about} Needs ${needs}.` : about)
    .datasource(datasource)
    .targets(panel.queries.map((_, i) => target(panel, i)));
  if (kind !== 'states' && kind !== 'table') built.unit(unit);
  if (!panel.isLog && !panel.isSigned && kind !== 'states' && kind !== 'table') built.min(0);
  if (max !== undefined) built.max(max);
  return built;
}

function target({ kind, queries }: Panel, number: number): Builder<Dataquery> {
  const { expression, legend } = queries[number];
  const query = new DataqueryBuilder()
    .datasource(datasource)
    .refId(String.fromCharCode(65 + number))
    .expr(expression)
    .legendFormat(legend);
  if (kind === 'table') return query.instant().format(PromQueryFormat.Table);
  return kind === 'bars' || kind === 'stat' ? query.instant() : query.range();
}

const lastValue = () => new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']);

function visualisation(panel: Panel): AnyPanel {
  switch (panel.kind) {
    case 'series':
      return lines(panel).lineWidth(2);
    case 'stacked':
      return lines(panel).stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal)).fillOpacity(60).lineWidth(1);
    case 'bars':
      return new BarsBuilder()
        .orientation(common.VizOrientation.Horizontal)
        .displayMode(common.BarGaugeDisplayMode.Basic)
        .reduceOptions(lastValue())
        .colorScheme(new grafana.FieldColorBuilder().mode(grafana.FieldColorModeId.PaletteClassicByName));
    case 'stat':
      return new StatBuilder().reduceOptions(lastValue()).colorMode(common.BigValueColorMode.None).graphMode(common.BigValueGraphMode.None);
    case 'states':
      return new StatesBuilder()
        .mergeValues(true)
        .showValue(common.VisibilityMode.Auto)
        .mappings([stateNames(panel)]);
    case 'table':
      return table(panel);
    default:
      return panel.kind satisfies never;
  }
}

const lines = ({ isLog }: Panel) =>
  new SeriesBuilder()
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.List)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true),
    )
    .tooltip(new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.Descending))
    // The same loss has the same colour in every panel.
    .colorScheme(new grafana.FieldColorBuilder().mode(grafana.FieldColorModeId.PaletteClassicByName))
    .scaleDistribution(
      isLog
        ? new common.ScaleDistributionConfigBuilder().type(common.ScaleDistribution.Log).log(10)
        : new common.ScaleDistributionConfigBuilder().type(common.ScaleDistribution.Linear),
    );

/** From blue to grey where all goes well, red and orange where it did not. */
const stateColours: Readonly<Record<string, string>> = {
  starting: 'light-blue',
  waiting: 'yellow',
  training: 'green',
  validating: 'blue',
  finishing: 'purple',
  succeeded: 'dark-green',
  paused: 'super-light-yellow',
  stopped: 'orange',
  failed: 'red',
};

const stateNames = ({ states = [] }: Panel): grafana.ValueMapping => ({
  type: grafana.MappingType.ValueToText,
  options: Object.fromEntries(states.map((text, number) => [String(number), { text, color: stateColours[text], index: number }])),
});

/** One row a run: the values of all queries are columns of one table. */
const table = ({ columns = [] }: Panel) =>
  new TableBuilder()
    .filterable(true)
    .withTransformation({ id: 'merge', options: {} })
    .withTransformation({
      id: 'organize',
      options: {
        excludeByName: { Time: true },
        renameByName: Object.fromEntries(columns.map((name, i) => [`Value #${String.fromCharCode(65 + i)}`, name])),
      },
    });
