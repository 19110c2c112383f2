'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// figures: the colours that depend on light or dark are those of the page
function paint(document_) {
  const fg = css('--fg'), soft = css('--soft'), line = css('--line');
  for (const model of document_.all_models) {
    const type = model.type;
    if (type.endsWith('Axis')) {
      Object.assign(model, {
        axis_label_text_color: fg, major_label_text_color: soft, axis_line_color: line,
        major_tick_line_color: line, minor_tick_line_color: null, axis_label_text_font_style: 'normal',
      });
    } else if (type === 'Grid') {
      model.grid_line_color = line;
      model.grid_line_alpha = 0.6;
    } else if (type === 'Legend') {
      model.label_text_color = fg;
    } else if (type === 'Text') {
      model.text_color = { value: fg };
    }
  }
}

const views = [];
async function drawFigures() {
  for (const item of data.figures) {
    const manager = await Bokeh.embed.embed_item(item);
    views.push(manager);
    paint(manager.roots[0].model.document);
  }
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    for (const manager of views) paint(manager.roots[0].model.document);
  });
  document.body.dataset.figures = views.length;
}

// images: boxes are drawn by the reader's choice of run and least score
const SVG = 'http://www.w3.org/2000/svg';
const control = (id) => document.getElementById(id);

function box(svg, [x, y, w, h], kind, label, scale) {
  const rect = document.createElementNS(SVG, 'rect');
  for (const [key, value] of Object.entries({ x, y, width: w, height: h })) rect.setAttribute(key, value);
  rect.setAttribute('class', kind);
  const title = document.createElementNS(SVG, 'title');
  title.textContent = label;
  rect.append(title);
  svg.append(rect);
  if (!control('labels').checked) return;
  const text = document.createElementNS(SVG, 'text');
  text.textContent = label;
  text.setAttribute('class', kind);
  text.setAttribute('transform', `translate(${x + 2 * scale} ${Math.max(y - 3 * scale, 11 * scale)}) scale(${scale})`);
  svg.append(text);
}

function drawBoxes() {
  const least = Number(control('score').value), run = control('run').value;
  control('least').textContent = least.toFixed(2);
  for (const frame of document.querySelectorAll('.frame[data-image]')) {
    const image = data.images[frame.dataset.image];
    const own = image.runs[run];
    frame.closest('figure').hidden = !own;
    if (!own) continue;
    const svg = frame.querySelector('svg');
    svg.replaceChildren();
    const scale = image.width / (frame.clientWidth || 340);
    let right = 0, wrong = 0, missed = 0;
    for (const [x, y, w, h, label, score, crowd] of own.truth) {
      const found = score >= least;
      if (!crowd && !found) missed += 1;
      const kind = crowd ? 'crowd' : found ? 'found' : 'missed';
      if (control('truth').checked) {
        box(svg, [x, y, w, h], kind, own.classes[label] + (kind === 'found' ? '' : ', ' + kind), scale);
      }
    }
    for (const [x, y, w, h, label, score, hit] of own.found) {
      if (score < least) continue;
      if (hit) right += 1; else wrong += 1;
      if (control('detections').checked) {
        box(svg, [x, y, w, h], hit ? 'right' : 'wrong', `${own.classes[label]} ${score.toFixed(2)}`, scale);
      }
    }
    frame.closest('figure').querySelector('.counts').textContent =
      `${right} right, ${wrong} wrong, ${missed} missed`;
  }
}

if (control('score')) {
  for (const id of ['score', 'run', 'truth', 'detections', 'labels']) {
    control(id).addEventListener('input', drawBoxes);
  }
  addEventListener('resize', drawBoxes);
  drawBoxes();
}
drawFigures();
