"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const column = (name) => data.columns.indexOf(name);
const SCORE = column("score"), STATUS = column("status"), SECONDS = column("seconds"), ID = column("id");
const falls = data.goal === "minimize";
const better = (a, b) => (falls ? a < b : a > b);
const VIRIDIS = ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725"];
const isDark = matchMedia("(prefers-color-scheme: dark)");
/** Viridis from the lowest score to the highest, so that the best stand out from the paper. */
const ramp = () => (isDark.matches === falls ? [...VIRIDIS].reverse() : VIRIDIS);
const SYMBOLS = { done: "circle", pruned: "triangle", failed: "rect" };
const PAGE = 15;
const scored = data.rows.map((row, i) => i).filter((i) => data.rows[i][SCORE] !== null);
// A far outlier, a trial that diverged, should not take all colours: they begin at a quantile.
const sorted = scored.map((i) => data.rows[i][SCORE]).sort((a, b) => a - b);
const quantile = (q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
const colours = sorted.length ? (falls ? [sorted[0], quantile(0.9)] : [quantile(0.1), sorted[sorted.length - 1]]) : [0, 1];
if (colours[0] === colours[1]) colours[1] = colours[0] + 1e-9;

const number = (value) => typeof value !== "number" ? (value === null ? "–" : String(value))
  : Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)));
const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const clock = (s) => s < 90 ? `${number(Math.round(s * 10) / 10)} s` : s < 5400 ? `${(s / 60).toFixed(1)} min` : `${(s / 3600).toFixed(1)} h`;

/** What a chart tells of a trial under the pointer. */
const told = (i) => {
  const row = data.rows[i], score = row[SCORE] === null ? row[STATUS] : `${data.metric} ${number(row[SCORE])}`;
  const lines = data.varied.map((name) => `${escape(name)} <b>${escape(number(row[column(name)]))}</b>`);
  return [`<b>${escape(score)}</b>${row[STATUS] === "done" ? "" : ` (${row[STATUS]})`}`, ...lines,
    `${number(row[SECONDS])} s · ${row[ID]}`].join("<br>");
};

// --- charts: drawn when they come into sight ---

const charts = new Map();
const seen = new IntersectionObserver((entries) => entries.forEach((entry) => {
  if (entry.isIntersecting) draw(entry.target);
}), { rootMargin: "200px" });
const sized = new ResizeObserver((entries) => entries.forEach((entry) => {
  const its = charts.get(entry.target);
  if (its && its.chart) its.chart.resize();
}));

/** Prepare a chart: `option` gives it, `pick` the row of what is clicked, `listen` is told the chart once it is there. */
function chart(element, label, option, { pick = null, listen = null } = {}) {
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", label);
  charts.set(element, { option, pick, listen, chart: null });
  seen.observe(element);
  sized.observe(element);
}
function draw(element) {
  const its = charts.get(element);
  if (!its || its.chart) return;
  its.chart = echarts.init(element, null, { renderer: "canvas" });
  redraw(element);
  if (its.pick) its.chart.on("click", (event) => { const i = its.pick(event); if (i !== null) choose(i); });
  if (its.listen) its.listen(its.chart);
}
function redraw(element) {
  const its = charts.get(element);
  if (!its || !its.chart) return;
  its.chart.setOption({ animation: false, textStyle: { color: css("--ink"), fontFamily: "inherit", fontSize: 13 },
    tooltip: { confine: true, backgroundColor: css("--paper"), borderColor: css("--line"),
      textStyle: { color: css("--ink"), fontSize: 13 } }, ...its.option() }, { notMerge: true });
}
const of = (name) => document.querySelector(`[data-chart=${name}]`);
const trial = (event) => Array.isArray(event.value) && Number.isInteger(event.value[2]) ? event.value[2] : null;
const hide = (id) => { $(id).hidden = true; };
isDark.addEventListener("change", () => charts.forEach((_, element) => redraw(element)));

/** Style an axis. */
const styled = (axis) => ({ nameLocation: "middle", nameGap: 32, scale: true, ...axis,
  axisLine: { show: true, onZero: false, lineStyle: { color: css("--soft") } }, axisTick: { show: false },
  axisLabel: { color: css("--soft"), hideOverlap: true, ...axis.axisLabel },
  splitLine: { lineStyle: { color: css("--line"), opacity: 0.6 } },
  nameTextStyle: { color: css("--ink"), fontSize: 13 } });
const GRID = { left: 62, right: 20, top: 20, bottom: 48 };
/** The score's axis; of the best half alone where that is wanted, as bad ones can press all good ones together. */
const scoreAxis = () => {
  const half = $("span").value === "half" && scored.length > 1;
  const bounds = !half ? {} : falls ? { max: quantile(0.5) } : { min: quantile(0.5) };
  return styled({ type: "value", name: data.metric, nameGap: 46, axisLabel: { formatter: number }, ...bounds });
};
const painted = () => ({ type: "continuous", min: colours[0], max: colours[1], inRange: { color: ramp() } });

/** Say what the ends of a colour scale are. */
const ends = (low, high) => ({ calculable: false, text: [number(Number(high.toPrecision(3))), number(Number(low.toPrecision(3)))], textStyle: { color: css("--soft") } });

/** How an axis shows a hyperparameter: places of its own for few values, else a scale. */
function scale(name) {
  const at = column(name), values = [...new Set(data.rows.map((row) => row[at]))];
  const isNumber = (value) => typeof value === "number";
  const numbers = values.filter(isNumber);
  if (values.length > 12 && numbers.length === values.length) {
    const low = Math.min(...numbers), high = Math.max(...numbers);
    const middle = [...numbers].sort((a, b) => a - b)[numbers.length >> 1];  // of a wide scale it is far below the mean of the ends
    return { places: null, type: low > 0 && high / low >= 50 && middle < high / 5 ? "log" : "value" };
  }
  const order = (a, b) => isNumber(a) && isNumber(b) ? a - b : isNumber(a) ? -1 : isNumber(b) ? 1 : String(a).localeCompare(String(b));
  values.sort(order);
  return { places: new Map(values.map((value, place) => [value, place])), labels: values.map((v) => v === null ? "not used" : number(v)) };
}
const scales = new Map(data.varied.map((name) => [name, scale(name)]));
/** Spread points of one place a little, always alike. */
const jitter = (i) => (((i * 0.618033988749895) % 1) - 0.5) * 0.5;

// --- score against each hyperparameter ---

function points(x) {
  return ["done", "pruned"].map((status) => ({ name: status, type: "scatter", symbol: SYMBOLS[status], symbolSize: status === "done" ? 7 : 6,
    itemStyle: { opacity: scored.length > 500 ? 0.55 : 0.8, color: status === "done" ? css("--blue") : css("--soft") },
    data: scored.filter((i) => data.rows[i][STATUS] === status && i !== data.best).map((i) => [x(i), data.rows[i][SCORE], i]).filter((p) => p[0] !== null) }))
    .concat(data.best === null ? [] : [{ name: "best", type: "scatter", symbol: "diamond", symbolSize: 17, z: 5,
      itemStyle: { color: css("--orange"), borderColor: css("--paper"), borderWidth: 1.5 }, data: [[x(data.best), data.rows[data.best][SCORE], data.best]] }]);
}
const legend = () => ({ data: data.rows.some((row) => row[STATUS] === "pruned") ? ["done", "pruned", "best"] : ["done", "best"], top: 0, right: 10,
  itemHeight: 10, itemWidth: 10, textStyle: { color: css("--soft") } });
const hover = { trigger: "item", formatter: (event) => { const i = trial(event); return i === null ? "" : told(i); } };
function scatters() {
  if (!data.varied.length || !scored.length) return hide("values");
  $("span").addEventListener("change", () => document.querySelectorAll("#scatters .chart, [data-chart=cost]").forEach(redraw));
  for (const name of data.varied) {
    const element = document.createElement("div"), { places, type, labels } = scales.get(name), at = column(name);
    element.className = "chart";
    $("scatters").append(element);
    const x = (i) => places ? places.get(data.rows[i][at]) + jitter(i) : data.rows[i][at];
    const axis = () => places
      ? styled({ type: "value", name, min: -0.5, max: places.size - 0.5, interval: 1, scale: false,
        axisLabel: { showMinLabel: false, showMaxLabel: false, formatter: () => "" } })
      : styled({ type, name, axisLabel: { formatter: number } });
    // Places carry their labels in a second axis: the points' own has room between for jitter.
    const axes = () => places ? [axis(), styled({ type: "category", data: labels, position: "bottom", axisLabel: { interval: labels.length > 8 ? "auto" : 0 } })] : axis();
    chart(element, `${data.metric} against ${name}`, () => ({ grid: { ...GRID, top: 30 }, xAxis: axes(), yAxis: scoreAxis(), legend: legend(), tooltip: hover, series: points(x) }), { pick: trial });
  }
}

// --- parallel coordinates ---

function parallel() {
  const names = data.varied.slice(0, 14);
  if (!names.length || scored.length < 2) return hide("parallel");
  const dimension = (name, dim) => {
    const { places, type, labels } = scales.get(name);
    const axis = { dim, name, nameLocation: "end" };
    return places ? { ...axis, type: "category", data: labels } : { ...axis, type };
  };
  const value = (i, name) => { const { places } = scales.get(name), v = data.rows[i][column(name)]; return places ? places.get(v) : v; };
  // The worst are drawn first, so that the best lie on top.
  const order = [...scored].sort((a, b) => better(data.rows[a][SCORE], data.rows[b][SCORE]) ? 1 : -1);
  const element = of("parallel");
  chart(element, "Parallel coordinates of all trials", () => ({
    parallel: { left: 40, right: 90, top: 44, bottom: 24, axisExpandable: false,
      parallelAxisDefault: { nameTextStyle: { color: css("--ink"), fontSize: 13 }, axisLabel: { color: css("--ink"), textBorderColor: css("--paper"), textBorderWidth: 4, formatter: (v) => number(v) },
        axisLine: { lineStyle: { color: css("--soft") } }, areaSelectStyle: { color: css("--blue"), opacity: 0.2, width: 18 }, realtime: false } },
    parallelAxis: [...names.map(dimension), { dim: names.length, name: data.metric, type: "value", scale: true, nameLocation: "end" }],
    visualMap: { ...painted(), dimension: names.length, right: 4, top: "middle", itemHeight: 120, itemWidth: 12, ...ends(...colours) },
    series: [{ type: "parallel", progressive: 0, lineStyle: { width: scored.length > 500 ? 0.8 : 1.4, opacity: scored.length > 500 ? 0.35 : 0.6 },
      inactiveOpacity: 0.03, data: order.map((i) => [...names.map((name) => value(i, name)), data.rows[i][SCORE]]) }],
  }), { pick: (event) => order[event.dataIndex] ?? null, listen: (its) => its.on("axisareaselected", () => {
    const chosen = its.getModel().getSeriesByIndex(0).getRawIndicesByActiveState("active");
    const isAll = chosen.length === order.length;
    state.brushed = isAll ? null : new Set(chosen.map((place) => order[place]));
    state.shown = PAGE;
    table();
  }) });
}

// --- importance, and two hyperparameters together ---

function importance() {
  const its = data.importance;
  if (!its) return hide("importance");
  const fit = its.fit < 0.3 ? ` It explains little of them here (R² ${its.fit} on trials it has not seen): do not lean on it.` : ` R² ${its.fit} on trials it has not seen.`;
  $("method").textContent = `Shares of the variance of ${data.metric} (${its.of}), by ${its.method}.${fit}`;
  const pairs = its.pairs.filter((pair) => pair[2] >= 0.01).slice(0, 6);
  const bars = [...its.main.map(([name, share]) => [name, share, 0]), ...pairs.map(([a, b, share]) => [`${a} × ${b}`, share, 1])].reverse();
  const element = of("importance");
  element.style.height = `${70 + 28 * bars.length}px`;
  chart(element, "Importance of hyperparameters", () => ({
    grid: { left: 10, right: 60, top: 10, bottom: 40, containLabel: true },
    xAxis: styled({ type: "value", min: 0, name: "share of the variance", scale: false, axisLabel: { formatter: (v) => `${Math.round(v * 100)}%` } }),
    yAxis: styled({ type: "category", data: bars.map((bar) => bar[0]), axisLabel: { hideOverlap: false, interval: 0, width: innerWidth < 640 ? 130 : 300, overflow: "truncate" } }),
    tooltip: { trigger: "item", formatter: (event) => `${escape(event.name)}: ${(event.value * 100).toFixed(1)}%` },
    aria: { enabled: true, decal: { show: true } },
    series: [{ type: "bar", barMaxWidth: 20, label: { show: true, position: "right", color: css("--ink"), formatter: (e) => `${(e.value * 100).toFixed(1)}%` },
      data: bars.map(([, share, isPair]) => ({ value: share, itemStyle: { color: isPair ? css("--orange") : css("--blue"), decal: isPair ? undefined : { symbol: "none" } } })) }],
  }));
}
function fill(select, names, chosen) {
  select.replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
}
/** Put a value of a long scale into one of eight parts. */
function binned(name) {
  const { places, labels, type } = scales.get(name), at = column(name);
  if (places) return { labels, bin: (i) => places.get(data.rows[i][at]) };
  const f = type === "log" ? Math.log : (v) => v, g = type === "log" ? Math.exp : (v) => v;
  const values = data.rows.map((row) => f(row[at])), low = Math.min(...values), step = (Math.max(...values) - low) / 8 || 1;
  return { labels: [...Array(8).keys()].map((k) => `${number(Number(g(low + k * step).toPrecision(2)))}…`), bin: (i) => Math.min(7, Math.floor((f(data.rows[i][at]) - low) / step)) };
}
function heat() {
  if (data.varied.length < 2 || !scored.length) return hide("pairs");
  const strongest = data.importance && data.importance.pairs[0];
  const most = data.importance ? data.importance.main.map(([name]) => data.varied.find((v) => v === name || v === `config_${name}`)).filter(Boolean) : data.varied;
  const [a, b] = strongest && strongest[2] >= 0.01 ? strongest : most.length > 1 ? most : data.varied;
  fill($("across"), data.varied, a);
  fill($("down"), data.varied, b);
  const element = of("heat");
  const option = () => {
    const x = binned($("across").value), y = binned($("down").value), cells = new Map(), isMean = $("statistic").value === "mean";
    for (const i of scored) {
      const key = `${x.bin(i)},${y.bin(i)}`, score = data.rows[i][SCORE], known = cells.get(key);
      if (!known) cells.set(key, { sum: score, n: 1, best: score });
      else { known.sum += score; known.n += 1; if (better(score, known.best)) known.best = score; }
    }
    const list = [...cells].map(([key, its]) => [...key.split(",").map(Number), isMean ? its.sum / its.n : its.best, its.n]);
    const shown = list.map((cell) => cell[2]);
    const low = Math.min(...shown), span = Math.max(...shown) - low || 1;
    const isLight = (score) => (ramp() === VIRIDIS ? (score - low) / span : 1 - (score - low) / span) > 0.55;
    const isSmall = innerWidth < 640 || x.labels.length > 10;
    return { grid: { left: 10, right: 90, top: 10, bottom: 44, containLabel: true },
      xAxis: { ...styled({ type: "category", data: x.labels, name: $("across").value }), splitLine: { show: false } },
      yAxis: { ...styled({ type: "category", data: y.labels, name: $("down").value, nameGap: 60 }), splitLine: { show: false } },
      visualMap: { dimension: 2, min: low, max: low + span, ...ends(low, low + span), right: 4, top: "middle", itemHeight: 120, itemWidth: 12, inRange: { color: ramp() } },
      tooltip: { trigger: "item", formatter: (e) => `${escape($("across").value)} ${escape(x.labels[e.value[0]])}<br>${escape($("down").value)} ${escape(y.labels[e.value[1]])}<br><b>${number(e.value[2])}</b> (${isMean ? "mean" : "best"} of ${e.value[3]})` },
      series: [{ type: "heatmap", data: list.map((cell) => ({ value: cell, label: { color: isLight(cell[2]) ? "#000" : "#fff" } })), label: { show: !isSmall, formatter: (e) => e.value[2].toPrecision(4) }, itemStyle: { borderColor: css("--paper"), borderWidth: 1 } }] };
  };
  chart(element, "Scores of pairs of values", option);
  for (const id of ["across", "down", "statistic"]) $(id).addEventListener("change", () => redraw(element));
}

// --- learning curves ---

function curves() {
  const { shown, metrics, n } = data.curves;
  if (!shown.some((curve) => Object.values(curve.series).some((its) => its.length > 1))) return hide("curves");
  fill($("metric"), metrics, metrics.includes(data.metric) ? data.metric : metrics[0]);
  $("sampled").textContent = `Colour is the score that counts, as above. A dashed line ends in a triangle where its trial was pruned, in a square where it failed.${shown.length < n ? ` ${shown.length} of ${n.toLocaleString("en")} trials: the best ones, and some of the others.` : ""}`;
  const element = of("curves"), longest = Math.max(...shown.flatMap((curve) => Object.values(curve.series).map((its) => its.length ? its[its.length - 1][0] : 1)));
  const colour = (i) => {
    const score = data.rows[i][SCORE];
    if (score === null) return css("--soft");
    const share = Math.max(0, Math.min(1, (score - colours[0]) / (colours[1] - colours[0])));
    return ramp()[Math.round(share * (VIRIDIS.length - 1))];
  };
  chart(element, "Learning curves", () => ({
    grid: { ...GRID, left: 70 }, xAxis: styled({ type: "value", name: "epoch", minInterval: 1, min: 1, max: longest, scale: false }),
    yAxis: styled({ type: "value", name: $("metric").value, nameGap: 50, axisLabel: { formatter: number } }), tooltip: hover,
    dataZoom: [{ type: "inside", yAxisIndex: 0, zoomOnMouseWheel: "ctrl" }],
    series: [...shown].reverse().map(({ row, series }) => {
      const its = series[$("metric").value] || [], status = data.rows[row][STATUS], isBest = row === data.best, isDone = status === "done";
      return { type: "line", symbol: SYMBOLS[isDone ? "done" : status], showAllSymbol: true, z: isBest ? 5 : 2,
        symbolSize: (_, p) => isBest ? 7 : p.dataIndex === its.length - 1 ? (isDone ? 3 : 8) : 0,
        lineStyle: { width: isBest ? 4 : 1.2, opacity: isBest ? 1 : 0.65, type: isDone ? "solid" : "dashed", color: isBest ? css("--orange") : colour(row) },
        itemStyle: { color: isBest ? css("--orange") : colour(row) }, data: its.map(([epoch, value]) => [epoch, value, row]) };
    }),
  }), { pick: trial });
  $("metric").addEventListener("change", () => redraw(element));
}

// --- score against cost; ranks over time ---

function cost() {
  if (!scored.length) return hide("cost");
  const front = [];
  for (const i of [...scored].filter((i) => data.rows[i][STATUS] === "done").sort((a, b) => data.rows[a][SECONDS] - data.rows[b][SECONDS])) {
    if (!front.length || better(data.rows[i][SCORE], data.rows[front[front.length - 1]][SCORE])) front.push(i);
  }
  const seconds = scored.map((i) => data.rows[i][SECONDS]), isLog = Math.min(...seconds) > 0 && Math.max(...seconds) / Math.min(...seconds) >= 50;
  const x = (i) => data.rows[i][SECONDS];
  chart(of("cost"), "Score against seconds of training", () => ({
    grid: { ...GRID, top: 30 }, xAxis: styled({ type: isLog ? "log" : "value", name: "seconds of training", axisLabel: { formatter: number } }), yAxis: scoreAxis(), legend: legend(), tooltip: hover,
    series: [...points(x), { type: "line", step: "end", symbol: "none", silent: true, lineStyle: { color: css("--orange"), width: 2, type: "dotted" }, data: front.map((i) => [x(i), data.rows[i][SCORE]]) }],
  }), { pick: trial });
}
function ranks() {
  if (!data.starts.length) return hide("ranks");
  $("start").replaceChildren(...data.starts.map((its, k) => new Option(`${new Date(its.at_s * 1000).toLocaleString()}, ${its.n_groups} at work`, k)));
  $("start").value = data.starts.length - 1;
  const element = of("ranks");
  const option = () => {
    const its = data.starts[$("start").value], unit = its.wall_s < 180 ? [1, "seconds"] : its.wall_s < 10800 ? [60, "minutes"] : [3600, "hours"];
    $("occupancy").textContent = `Ranks worked on trials ${Math.round(its.efficiency * 100)}% of ${clock(its.wall_s)}; the rest, blank here, is their start (loading libraries), waiting, and what was cut. Colour is the score.`;
    element.style.height = `${Math.max(150, Math.min(640, 90 + 26 * its.ranks.length))}px`;
    const box = (params, api) => {
      const begin = api.coord([api.value(0), api.value(1)]), end = api.coord([api.value(4), api.value(1)]), height = Math.max(1, api.size([0, 1])[1] * 0.72);
      const area = { x: params.coordSys.x, y: params.coordSys.y, width: params.coordSys.width, height: params.coordSys.height };
      const shape = echarts.graphic.clipRectByRect({ x: begin[0], y: begin[1] - height / 2, width: Math.max(1, end[0] - begin[0] - 0.6), height }, area);
      return shape && { type: "rect", shape, style: { fill: api.visual("color"), stroke: api.value(5) ? css("--orange") : undefined, lineWidth: 2, lineDash: [3, 2] } };
    };
    return { grid: { left: 70, right: 90, top: 10, bottom: 70 },
      xAxis: { ...styled({ type: "value", name: `${unit[1]} since the start`, min: 0, max: Number((its.wall_s / unit[0]).toPrecision(4)), scale: false }) },
      yAxis: { ...styled({ type: "category", inverse: true, data: its.ranks.map((rank) => `rank ${rank}`) }), splitLine: { show: false } },
      dataZoom: [{ type: "slider", height: 16, bottom: 6, labelFormatter: "" }],
      visualMap: { ...painted(), dimension: 3, right: 4, top: "middle", itemHeight: 70, itemWidth: 12, ...ends(...colours), outOfRange: { color: css("--soft") } },
      tooltip: { trigger: "item", formatter: (e) => `rank ${its.ranks[e.value[1]]} on ${escape(its.hosts[its.ranks[e.value[1]]])}<br>${clock(e.value[0] * unit[0])} to ${clock(e.value[4] * unit[0])}<br>${e.value[2] === null ? "" : told(e.value[2])}` },
      series: [{ type: "custom", progressive: 0, renderItem: box, encode: { x: [0, 4], y: 1 },
        data: its.worked.map(([rank, begin, end, i, status]) => {
          const score = i === null ? null : data.rows[i][SCORE];
          return { value: [begin / unit[0], rank, i, score === null ? NaN : Math.max(colours[0], Math.min(colours[1], score)), end / unit[0], status === "failed" ? 1 : 0] };
        }) }] };
  };
  chart(element, "What each rank worked on when", option, { pick: trial });
  option();
  $("start").addEventListener("change", () => { redraw(element); if (charts.get(element).chart) charts.get(element).chart.resize(); });
}

// --- the winner ---

function winner() {
  const its = data.winner;
  if (!its) return hide("winner");
  if (its.reason) {
    $("tested").textContent = `Not known: ${its.reason}.`;
    of("confusion").remove();
    return;
  }
  const wrong = its.images - its.confusion.reduce((sum, row, k) => sum + row[k], 0);
  $("tested").textContent = `${wrong.toLocaleString("en")} of its ${its.images.toLocaleString("en")} validation images are answered wrongly. Colour is the share of a label's images, on a scale that shows single mistakes.`;
  const cells = its.confusion.flatMap((row, y) => row.map((n, x) => [x, y, n, n / (row.reduce((a, b) => a + b, 0) || 1)])).filter((cell) => cell[2]);
  const names = [...Array(its.classes).keys()].map(String);
  chart(of("confusion"), "Confusion matrix of the winner", () => ({
    grid: { left: 58, right: 14, top: 14, bottom: 48 },
    xAxis: { ...styled({ type: "category", data: names, name: "answer" }), splitLine: { show: false } },
    yAxis: { ...styled({ type: "category", data: names, inverse: true, name: "label", nameGap: 34 }), splitLine: { show: false } },
    visualMap: { show: false, dimension: 4, min: -4, max: 0, inRange: { color: ["#deebf7", "#9ecae1", "#4292c6", "#08306b"] } },
    tooltip: { trigger: "item", formatter: (e) => `label ${e.value[0 + 1]}, answered ${e.value[0]}: <b>${e.value[2]}</b> (${(e.value[3] * 100).toFixed(1)}%)` },
    series: [{ type: "heatmap", data: cells.map((cell) => ({ value: [...cell, Math.log10(cell[3] + 1e-4)], label: { color: cell[3] > 0.03 ? "#fff" : "#000" } })),
      label: { show: its.classes <= 20 && innerWidth > 420, fontSize: 13, formatter: (e) => e.value[2] }, itemStyle: { borderColor: css("--paper"), borderWidth: 1 } }],
  }));
  for (const mistake of its.mistakes) {
    const figure = document.createElement("figure"), canvas = document.createElement("canvas"), caption = document.createElement("figcaption");
    canvas.width = canvas.height = its.side;
    const pixels = atob(mistake.image), picture = canvas.getContext("2d").createImageData(its.side, its.side);
    const most = Math.max(1, ...[...pixels].map((c) => c.charCodeAt(0)));
    for (let k = 0; k < pixels.length; k++) {
      const grey = 255 - Math.round(255 * pixels.charCodeAt(k) / most);
      picture.data.set([grey, grey, grey, 255], 4 * k);
    }
    canvas.getContext("2d").putImageData(picture, 0, 0);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `image ${mistake.row}, a ${mistake.label}`);
    caption.textContent = `${mistake.label} taken for ${mistake.answer} (${Math.round(mistake.probability * 100)}%), row ${mistake.row}`;
    figure.append(canvas, caption);
    $("mistakes").append(figure);
  }
}

// --- the table ---

const state = { words: "", status: "", by: null, isDown: false, shown: PAGE, brushed: null, chosen: null };
const texts = data.rows.map((row) => row.map((cell, k) => `${data.columns[k]}=${cell === null ? "" : number(cell)}`).join(" ").toLowerCase());
const COMPARED = /^(\w[\w.]*)(>=|<=|=|>|<)(.+)$/;
const COMPARE = { ">": (a, b) => a > b, "<": (a, b) => a < b, ">=": (a, b) => a >= b, "<=": (a, b) => a <= b };
// What is the same for all trials is left out of the table; a trial's own list has it.
const tabled = data.columns.map((name, k) => k).filter((k) => (!data.configs.includes(data.columns[k]) || data.varied.includes(data.columns[k])) && data.rows.some((row) => row[k] !== null && row[k] !== ""));
/** Read one word of the search: a comparison with a column, or any text. */
function test(word) {
  const found = COMPARED.exec(word), at = found ? data.columns.findIndex((name) => name.toLowerCase() === found[1]) : -1;
  if (at < 0) return (i) => texts[i].includes(word);
  const [, , sign, text] = found;
  if (sign === "=") return (i) => (number(data.rows[i][at]).toLowerCase() === text) || (text !== "" && typeof data.rows[i][at] === "number" && data.rows[i][at] === Number(text));
  return (i) => typeof data.rows[i][at] === "number" && COMPARE[sign](data.rows[i][at], Number(text));
}
function chosenRows() {
  const tests = state.words.toLowerCase().split(/\s+/).filter(Boolean).map(test);
  const rows = data.rows.map((_, i) => i).filter((i) => (!state.status || data.rows[i][STATUS] === state.status)
    && (!state.brushed || state.brushed.has(i)) && tests.every((its) => its(i)));
  const by = state.by === null ? SCORE : state.by, isDown = state.by === null ? !falls : state.isDown;
  const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  return rows.sort((a, b) => {
    const [x, y] = [data.rows[a][by], data.rows[b][by]];
    if (x === null || y === null) return (x === null) - (y === null) || a - b;  // nothing comes last
    return (isDown ? compare(y, x) : compare(x, y)) || (a === data.best ? -1 : b === data.best ? 1 : a - b);
  });
}
function table() {
  const rows = chosenRows(), by = state.by === null ? SCORE : state.by, isDown = state.by === null ? !falls : state.isDown;
  const isNumeric = data.columns.map((_, k) => data.rows.some((row) => typeof row[k] === "number"));
  const head = tabled.map((k) => [data.columns[k], k]).map(([name, k]) => `<th scope="col" class="${isNumeric[k] ? "number" : ""}" aria-sort="${k === by ? (isDown ? "descending" : "ascending") : "none"}"><button type="button" data-at="${k}">${escape(name)}${k === by ? (isDown ? " ▼" : " ▲") : ""}</button></th>`).join("");
  const body = rows.slice(0, state.shown).map((i) => `<tr data-row="${i}" tabindex="0" class="${i === state.chosen ? "chosen" : ""}">${tabled.map((k) => [data.rows[i][k], k]).map(([cell, k]) => `<td class="${isNumeric[k] ? "number" : ""}">${i === data.best && k === ID ? "★ " : ""}${escape(cell === null ? "" : number(cell))}</td>`).join("")}</tr>`).join("");
  $("table").innerHTML = `<thead><tr>${head}</tr></thead><tbody>${body}</tbody>`;
  $("count").textContent = `${rows.length.toLocaleString("en")} of ${data.rows.length.toLocaleString("en")} trials`;
  const left = rows.length - state.shown;
  $("more").hidden = left <= 0;
  $("more").textContent = `Show ${Math.min(left, 20 * PAGE)} more`;
  $("everything").hidden = !state.brushed && !state.words && !state.status;
}
/** Show one trial below the table, whatever chart it was clicked in. */
function choose(i) {
  state.chosen = i;
  document.querySelectorAll("#table tr").forEach((row) => row.classList.toggle("chosen", row.dataset.row === String(i)));
  const row = data.rows[i];
  $("one").hidden = false;
  $("one").innerHTML = `<b>Trial <code>${escape(row[ID])}</code></b> <button type="button" id="close">Close</button><dl class="facts">${data.columns.map((name, k) => row[k] === null || row[k] === "" || k === ID ? "" : `<div><dt>${escape(name)}</dt><dd>${escape(number(row[k]))}</dd></div>`).join("")}</dl><p class="hint">Its files: trials/${escape(row[ID])}/</p>`;
  $("close").addEventListener("click", () => { $("one").hidden = true; state.chosen = null; table(); });
}
function listen() {
  const statuses = [...new Set(data.rows.map((row) => row[STATUS]))];
  $("status").replaceChildren(new Option("all", ""), ...statuses.map((status) => new Option(status, status)));
  const change = (news) => { Object.assign(state, { shown: PAGE }, news); table(); };
  $("words").addEventListener("input", (event) => change({ words: event.target.value }));
  $("status").addEventListener("change", (event) => change({ status: event.target.value }));
  $("more").addEventListener("click", () => change({ shown: state.shown + 20 * PAGE }));
  $("everything").addEventListener("click", () => {
    $("words").value = $("status").value = "";
    change({ words: "", status: "", brushed: null });
    redraw(of("parallel"));
  });
  $("table").addEventListener("click", (event) => {
    const button = event.target.closest("button"), row = event.target.closest("tr[data-row]");
    if (button) {
      const by = Number(button.dataset.at), isSame = by === (state.by === null ? SCORE : state.by);
      change({ by, isDown: isSame ? !(state.by === null ? !falls : state.isDown) : by === SCORE && !falls, shown: state.shown });
      document.querySelector(`#table button[data-at="${by}"]`).focus();
    } else if (row) choose(Number(row.dataset.row));
  });
  $("table").addEventListener("keydown", (event) => {
    const row = event.target.closest("tr[data-row]");
    if (row && event.key === "Enter" && event.target === row) choose(Number(row.dataset.row));
  });
}

listen();
table();
for (const part of [scatters, parallel, importance, heat, curves, cost, ranks, winner]) part();
document.querySelector("nav").replaceChildren(...[...document.querySelectorAll("section")].filter((its) => !its.hidden).map((its) => {
  const link = document.createElement("a");
  link.href = `#${its.id}`;
  link.textContent = its.dataset.title;
  return link;
}));
})();
