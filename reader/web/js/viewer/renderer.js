// Draws parts of a frame by WebGL2: stored values as integers in textures, filtered by four taps in the shader. Exact, no extensions.

import { onCanvas } from './camera.js';

/** @typedef {import('./samples.js').Part} Part */
/** @typedef {import('./camera.js').View} View */
/** @typedef {import('./values.js').Grey} Grey */
/** @typedef {import('../delivery.js').Table} Table */

/** Textures that are kept: the last full pictures and the coarse ones that were scrolled through. */
const TEXTURES_MAX = 12;
/** Bytes of them, whose arrays live as long; the one that is seen stays however large it is. */
const TEXTURE_BYTES_MAX = 24 << 20;
/** The same of tables; a row of their textures. */
const TABLES_MAX = 8, TABLE_COLUMNS = 256;

const VERTEX = `#version 300 es
uniform vec4 box; void main(){ vec2 corner=vec2(gl_VertexID&1,gl_VertexID>>1); gl_Position=vec4(mix(box.xy,box.zw,corner),0.,1.); }`;

// At a scale below one, a device pixel is the mean of as many samples as it covers, four a side at most.
const HEAD = `#version 300 es
precision highp float; precision highp int; precision highp isampler2D; precision highp sampler2D;
uniform vec2 origin; uniform float height; uniform mat2 back; uniform float apart; uniform float top; uniform ivec2 size; uniform float stride; out vec4 colour;
vec2 place(vec2 off){ return back*(vec2(gl_FragCoord.x,height-gl_FragCoord.y)+off-origin); }
int many(){ return int(clamp(ceil(apart-0.01),1.,4.)); }
`;
const STORED = `
uniform isampler2D picture; uniform bool sign; uniform int stored; uniform int shift;
int stored_at(ivec2 at){ int v=texelFetch(picture,clamp(at,ivec2(0),size-1),0).r>>shift; return sign? (v<<(32-stored))>>(32-stored) : v&((1<<stored)-1); }
ivec2 cell(int n){ return ivec2(n%${TABLE_COLUMNS},n/${TABLE_COLUMNS}); }
`;
// Of a table: its first value, its entries (0: there is none), its largest entry.
const GREY = `${HEAD}${STORED}
uniform vec2 rescale; uniform vec2 window; uniform int curve; uniform bool invert; uniform bool padded; uniform int padding;
uniform sampler2D modality; uniform ivec3 modality_of; uniform sampler2D voi; uniform ivec3 voi_of;
float meaning(int v){ return modality_of.y>0? texelFetch(modality,cell(clamp(v-modality_of.x,0,modality_of.y-1)),0).r : float(v); }
float voi_at(float x){
  float n=clamp(x-float(voi_of.x),0.,float(voi_of.y-1)), low=floor(n);
  return mix(texelFetch(voi,cell(int(low)),0).r,texelFetch(voi,cell(int(ceil(n))),0).r,n-low)/float(voi_of.z);
}
// PS3.3 C.11.2.1.2 and C.11.2.1.3
float windowed(float x){
  if(curve==2) return 1./(1.+exp(-4.*(x-window.x)/window.y));
  float middle=curve==1? window.x : window.x-.5, range=curve==1? window.y : window.y-1.;
  return range<=0.? step(middle,x) : clamp((x-middle)/range+.5,0.,1.);
}
void main(){
  int n=many(); float sum=0., weight=0.;
  for(int j=0;j<n;j++) for(int i=0;i<n;i++){
    vec2 at=(place((vec2(i,j)+.5)/float(n)-.5)-vec2(.5,.5+top))/stride; vec2 base=floor(at), f=at-base; ivec2 p=ivec2(base);
    for(int k=0;k<4;k++){ ivec2 d=ivec2(k&1,k>>1); int v=stored_at(p+d); vec2 w2=mix(1.-f,f,vec2(d)); float w=w2.x*w2.y; if(padded&&v==padding) w=0.; sum+=w*meaning(v); weight+=w; }
  }
  if(weight<.5*float(n*n)){ colour=vec4(0.,0.,0.,1.); return; }
  float x=sum/weight*rescale.x+rescale.y, grey=voi_of.y>0? voi_at(x) : windowed(x);
  colour=vec4(vec3(invert?1.-grey:grey),1.);
}`;
// An index between two others is no colour between theirs.
const PALETTE = `${HEAD}${STORED}
uniform sampler2D palette; uniform ivec3 palette_of;
void main(){
  int n=many(); vec4 sum=vec4(0.);
  for(int j=0;j<n;j++) for(int i=0;i<n;i++){
    vec2 at=(place((vec2(i,j)+.5)/float(n)-.5)-vec2(.5,.5+top))/stride; vec2 base=floor(at), f=at-base; ivec2 p=ivec2(base);
    for(int k=0;k<4;k++){ ivec2 d=ivec2(k&1,k>>1); vec2 w=mix(1.-f,f,vec2(d)); sum+=w.x*w.y*texelFetch(palette,cell(clamp(stored_at(p+d)-palette_of.x,0,palette_of.y-1)),0); }
  }
  colour=vec4(sum.rgb/float(n*n),1.);
}`;
const COLOUR = `${HEAD}
uniform sampler2D picture;
void main(){
  int n=many(); vec4 sum=vec4(0.);
  for(int j=0;j<n;j++) for(int i=0;i<n;i++){
    vec2 at=(place((vec2(i,j)+.5)/float(n)-.5)-vec2(.5,.5+top))/stride; vec2 base=floor(at), f=at-base; ivec2 p=ivec2(base);
    for(int k=0;k<4;k++){ ivec2 d=ivec2(k&1,k>>1); vec2 w=mix(1.-f,f,vec2(d)); sum+=w.x*w.y*texelFetch(picture,clamp(p+d,ivec2(0),size-1),0); }
  }
  colour=vec4(sum.rgb/float(n*n),1.);
}`;

export class Renderer {
  /** @type {WebGL2RenderingContext} */
  #gl;
  /** @type {Map<unknown, WebGLTexture>} */
  #textures = new Map();
  /** One of greys, or three of colours. @type {Map<Table|Table[], WebGLTexture>} */
  #tables = new Map();
  /** @type {{grey: Program, palette: Program, colour: Program}|null} */
  #programs = null;
  /** Milliseconds of script and upload of the frames drawn last, for the benches. @type {number[]} */
  spent = [];

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    const gl = canvas.getContext('webgl2', { alpha: false, antialias: false, depth: false, preserveDrawingBuffer: true });
    if (!gl) throw new Error('no WebGL2');
    this.#gl = gl;
    this.#prepare();
    // A telephone takes the context from a page in the background and gives it back.
    canvas.addEventListener('webglcontextlost', (event) => { event.preventDefault(); this.#textures.clear(); this.#tables.clear(); this.#programs = null; });
    canvas.addEventListener('webglcontextrestored', () => { this.#prepare(); canvas.dispatchEvent(new Event('redraw')); });
  }

  #prepare() {
    this.#programs = { grey: program(this.#gl, GREY), palette: program(this.#gl, PALETTE), colour: program(this.#gl, COLOUR) };
  }

  get largest() {
    return /** @type {number} */ (this.#gl.getParameter(this.#gl.MAX_TEXTURE_SIZE));
  }

  /** @param {Part[]} parts @param {number} columns columns of the frame @param {View} view @param {Grey} grey */
  draw(parts, columns, view, grey) {
    const start = performance.now();
    const gl = this.#gl, { width, height } = this.canvas;
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (!this.#programs) return;
    for (const part of parts) {
      const kind = part.kind === 'colour' ? 'colour' : grey.palette ? 'palette' : 'grey', { own, at } = this.#programs[kind];
      gl.useProgram(own);
      gl.activeTexture(gl.TEXTURE0);
      gl.bindTexture(gl.TEXTURE_2D, this.#texture(part));
      const one = onCanvas(view, 0, part.row), other = onCanvas(view, columns, part.row + part.height);
      gl.uniform4f(at('box'), clip(one.x / width), -clip(one.y / height), clip(other.x / width), -clip(other.y / height));
      gl.uniform2f(at('origin'), view.origin.x, view.origin.y);
      gl.uniform1f(at('height'), height);
      gl.uniform1f(at('apart'), 1 / view.scale);
      // From the screen to columns and rows: the way back, which of turns and mirrors is the transposed one. Columns of the matrix one after the other.
      const [a, b, c, d] = view.way, tall = view.scale * view.aspect;
      gl.uniformMatrix2fv(at('back'), false, [a / view.scale, b / tall, c / view.scale, d / tall]);
      gl.uniform1f(at('top'), part.row);
      gl.uniform1f(at('stride'), part.step);
      gl.uniform2i(at('size'), part.columns, part.rows);
      gl.uniform1i(at('picture'), 0);
      if (kind !== 'colour') {
        gl.uniform1i(at('sign'), grey.signed ? 1 : 0);
        gl.uniform1i(at('stored'), grey.stored);
        gl.uniform1i(at('shift'), grey.shift);
      }
      if (kind === 'palette') this.#bind(1, at, 'palette', grey.palette);
      if (kind === 'grey') {
        this.#bind(1, at, 'modality', grey.modality);
        this.#bind(2, at, 'voi', grey.voi);
        gl.uniform2f(at('rescale'), grey.slope, grey.intercept);
        gl.uniform2f(at('window'), grey.center, grey.width);
        gl.uniform1i(at('curve'), grey.curve);
        gl.uniform1i(at('invert'), grey.invert ? 1 : 0);
        gl.uniform1i(at('padded'), grey.padding === null ? 0 : 1);
        gl.uniform1i(at('padding'), grey.padding ?? 0);
      }
      gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    }
    if (this.spent.push(performance.now() - start) > 1_000) this.spent.shift();
  }

  /** One table of greys, or three of colours, for the shader. @param {number} unit @param {Program['at']} at @param {string} name @param {Table|Table[]|null} tables */
  #bind(unit, at, name, tables) {
    const gl = this.#gl, table = Array.isArray(tables) ? tables[0] : tables;
    gl.uniform1i(at(name), unit);
    gl.uniform3i(at(`${name}_of`), table?.first ?? 0, table?.entries.length ?? 0, table ? 2 ** table.bits - 1 : 1);
    if (!tables || !table) return;
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, kept(this.#tables, tables, TABLES_MAX, gl, () => {
      const rows = Math.ceil(table.entries.length / TABLE_COLUMNS), cells = TABLE_COLUMNS * rows;
      if (!Array.isArray(tables)) {
        const values = new Float32Array(cells);
        values.set(table.entries);
        return textured(gl, gl.R32F, TABLE_COLUMNS, rows, gl.RED, gl.FLOAT, values);
      }
      const rgba = new Uint8Array(cells * 4);
      for (const [colour, { bits, entries }] of tables.entries()) entries.forEach((entry, n) => { rgba[n * 4 + colour] = entry >> (bits - 8); });
      return textured(gl, gl.RGBA8, TABLE_COLUMNS, rows, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
    }));
  }

  /** @param {Part} part */
  #texture(part) {
    const gl = this.#gl;
    return kept(this.#textures, part.data, TEXTURES_MAX, gl, () => {
      const [inner, format, type] = part.kind === 'grey16' ? [gl.R16I, gl.RED_INTEGER, gl.SHORT]
        : part.kind === 'grey8' ? [gl.R8I, gl.RED_INTEGER, gl.BYTE] : [gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE];
      return textured(gl, inner, part.columns, part.rows, format, type, part.data);
    });
  }

  /** Another series is seen from now on. */
  forget() {
    for (const textures of [this.#textures, this.#tables]) {
      for (const texture of textures.values()) this.#gl.deleteTexture(texture);
      textures.clear();
    }
  }

  close() {
    this.forget();
    this.#gl.getExtension('WEBGL_lose_context')?.loseContext();
  }
}

/** The texture of a key, made where it is not there; the one that was used longest ago goes. @template K @param {Map<K, WebGLTexture>} textures @param {K} key @param {number} most
 * @param {WebGL2RenderingContext} gl @param {() => WebGLTexture} make */
function kept(textures, key, most, gl, make) {
  const texture = textures.get(key) ?? make();
  textures.delete(key);
  textures.set(key, texture);
  const bytes = () => [...textures.keys()].reduce((sum, one) => sum + (ArrayBuffer.isView(one) ? one.byteLength : 0), 0);
  while (textures.size > most || (textures.size > 1 && bytes() > TEXTURE_BYTES_MAX)) {
    const [[oldest, old]] = /** @type {[[K, WebGLTexture]]} */ ([...textures]);
    gl.deleteTexture(old);
    textures.delete(oldest);
  }
  return texture;
}

/** @param {WebGL2RenderingContext} gl @param {number} inner @param {number} columns @param {number} rows @param {number} format @param {number} type @param {ArrayBufferView} data */
function textured(gl, inner, columns, rows, format, type, data) {
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  gl.texImage2D(gl.TEXTURE_2D, 0, inner, columns, rows, 0, format, type, data);
  for (const [name, value] of [[gl.TEXTURE_MIN_FILTER, gl.NEAREST], [gl.TEXTURE_MAG_FILTER, gl.NEAREST], [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE]])
    gl.texParameteri(gl.TEXTURE_2D, /** @type {number} */ (name), /** @type {number} */ (value));
  return texture;
}

/** From a share of the canvas to the clip space's −1 … 1. @param {number} share */
const clip = (share) => share * 2 - 1;

/** @typedef {{own: WebGLProgram, at: (name: string) => WebGLUniformLocation|null}} Program */
/** @param {WebGL2RenderingContext} gl @param {string} fragment @returns {Program} */
function program(gl, fragment) {
  const own = gl.createProgram();
  for (const [kind, text] of /** @type {[number, string][]} */ ([[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, fragment]])) {
    const shader = gl.createShader(kind);
    if (!shader) throw new Error('no shader');
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader) ?? 'shader');
    gl.attachShader(own, shader);
  }
  gl.linkProgram(own);
  /** @type {Map<string, WebGLUniformLocation|null>} */
  const places = new Map();
  const at = (/** @type {string} */ name) => {
    if (!places.has(name)) places.set(name, gl.getUniformLocation(own, name));
    return places.get(name) ?? null;
  };
  return { own, at };
}
