// Meshes that are turned in the page. Every `.meshes` group holds figures of a preview picture and a canvas whose
// data-mesh has, in base64: corners of the faces (uint16), positions (int16), colours (uint8). One hidden WebGL canvas
// draws them all, because browsers allow few; where there is no WebGL 2 the previews stay.
(() => {
  "use strict";
  const VERTEX = `#version 300 es
    in vec3 position, normal, color;
    uniform mat3 turn;
    uniform vec4 lens;  // focal lengths x and y, distance, reach of the mesh
    out vec3 n, c;
    void main() {
      vec3 p = turn * position;
      float depth = lens.z - p.z, near = max(lens.z - lens.w, 0.01), far = lens.z + lens.w;
      gl_Position = vec4(lens.xy * p.xy, ((far + near) * depth - 2.0 * far * near) / (far - near), depth);
      n = turn * normalize(normal + vec3(0.0, 0.0, 1e-6));  // the sum of opposite faces may be 0
      c = color;
    }`;
  const FRAGMENT = `#version 300 es
    precision highp float;
    in vec3 n, c;
    uniform float painted;
    out vec4 pixel;
    void main() {
      float light = 0.3 + 0.7 * abs(dot(normalize(n), normalize(vec3(-0.4, 0.6, 1.0))));
      pixel = vec4(mix(vec3(0.80, 0.80, 0.82) * light, c * (0.6 + 0.4 * light), painted), 1.0);
    }`;
  const NAMES = ["position", "normal", "color"];
  const REACH = 1.0;  // the encoder keeps every mesh in a ball of this radius

  const board = document.createElement("canvas");
  const gl = board.getContext("webgl2", { antialias: true, alpha: true });
  const groups = [...document.querySelectorAll(".meshes")];
  if (!gl || !groups.length) return;
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  NAMES.forEach((name, index) => gl.bindAttribLocation(program, index, name));
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return;
  gl.useProgram(program);
  gl.enable(gl.DEPTH_TEST);
  const place = Object.fromEntries(["turn", "lens", "painted"].map((name) => [name, gl.getUniformLocation(program, name)]));

  // Sums of the faces' normals, which are as long as the faces are large.
  function vertexNormals(faces, p) {
    const normals = new Float32Array(p.length);
    for (let f = 0; f < faces.length; f += 3) {
      const [a, b, c] = [3 * faces[f], 3 * faces[f + 1], 3 * faces[f + 2]];
      const [ux, uy, uz] = [p[b] - p[a], p[b + 1] - p[a + 1], p[b + 2] - p[a + 2]];
      const [vx, vy, vz] = [p[c] - p[a], p[c + 1] - p[a + 1], p[c + 2] - p[a + 2]];
      const normal = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
      for (const corner of [a, b, c]) for (let k = 0; k < 3; k++) normals[corner + k] += normal[k];
    }
    return normals;
  }

  function load(canvas) {
    const bytes = Uint8Array.from(atob(canvas.dataset.mesh), (letter) => letter.charCodeAt(0)).buffer;
    const [numVertices, numFaces] = canvas.dataset.counts.split(" ").map(Number);
    const faces = new Uint16Array(bytes, 0, 3 * numFaces);
    const positions = new Int16Array(bytes, 6 * numFaces, 3 * numVertices);
    const colors = new Uint8Array(bytes, 6 * (numFaces + numVertices), 3 * numVertices);
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    const streams = [[positions, gl.SHORT], [vertexNormals(faces, positions), gl.FLOAT], [colors, gl.UNSIGNED_BYTE]];
    streams.forEach(([values, type], index) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(index);
      gl.vertexAttribPointer(index, 3, type, type !== gl.FLOAT, 0, 0);
    });
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, faces, gl.STATIC_DRAW);
    gl.bindVertexArray(null);
    return { array, count: 3 * numFaces };
  }

  function draw(canvas, mesh, view) {
    const sharpness = Math.min(window.devicePixelRatio || 1, 2);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * sharpness));
    if (!width || !height) return;
    if (board.width !== width || board.height !== height) [board.width, board.height] = [width, height];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const [cy, sy, cp, sp] = [Math.cos(view.yaw), Math.sin(view.yaw), Math.cos(view.pitch), Math.sin(view.pitch)];
    const focal = view.focal * view.zoom;
    gl.viewport(0, 0, width, height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniformMatrix3fv(place.turn, false, [cy, sp * sy, -cp * sy, 0, cp, sp, sy, -sp * cy, cp * cy]);
    gl.uniform4f(place.lens, (focal * height) / width, focal, view.distance, REACH);
    gl.uniform1f(place.painted, view.painted ? 1 : 0);
    gl.bindVertexArray(mesh.array);
    gl.drawElements(gl.TRIANGLES, mesh.count, gl.UNSIGNED_SHORT, 0);
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    context.drawImage(board, 0, 0);
  }

  function listen(canvas, view, change, reset) {
    const fingers = new Map();
    const turn = (right, down) => {
      view.yaw += right * Math.PI;
      view.pitch = Math.max(-Math.PI / 2, Math.min(Math.PI / 2, view.pitch + down * Math.PI));
    };
    const zoom = (factor) => { view.zoom = Math.max(0.5, Math.min(12, view.zoom * factor)); };
    const spread = () => {
      const [a, b] = [...fingers.values()];
      return Math.hypot(a.x - b.x, a.y - b.y);
    };
    canvas.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const finger = fingers.get(event.pointerId);
      if (!finger) return;
      const before = fingers.size === 2 ? spread() : 0;
      const [right, down] = [event.clientX - finger.x, event.clientY - finger.y];
      [finger.x, finger.y] = [event.clientX, event.clientY];
      if (before) zoom(spread() / before);
      turn(right / canvas.clientWidth / fingers.size, down / canvas.clientWidth / fingers.size);
      change();
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
    }
    // The page must go on scrolling under a wheel that only passes by.
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas && !event.ctrlKey) return;
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)));
      change();
    }, { passive: false });
    canvas.addEventListener("dblclick", reset);
    canvas.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      if (event.key in steps) turn(...steps[event.key].map((step) => step / 24));
      else if (event.key === "+" || event.key === "-") zoom(event.key === "+" ? 1.15 : 1 / 1.15);
      else if (event.key === "Home") return reset();
      else return;
      event.preventDefault();
      change();
    });
  }

  for (const group of groups) {
    const start = { yaw: 0, zoom: 1, pitch: Number(group.dataset.pitch), distance: Number(group.dataset.distance) };
    const view = { ...start, focal: Number(group.dataset.focal), painted: true };
    const canvases = [...group.querySelectorAll("canvas")];
    let meshes = null, waiting = false;
    const change = () => {
      if (waiting || !meshes) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        canvases.forEach((canvas, index) => draw(canvas, meshes[index], view));
      });
    };
    const reset = () => { Object.assign(view, start); change(); };
    for (const canvas of canvases) listen(canvas, view, change, reset);
    const buttons = [...group.querySelectorAll("button")];
    for (const button of buttons) {
      button.addEventListener("click", () => {
        view.painted = button.value === "painted";
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        change();
      });
    }
    new IntersectionObserver((entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      meshes = canvases.map(load);
      group.classList.add("live");
      new ResizeObserver(change).observe(group);
      change();
    }, { rootMargin: "600px" }).observe(group);
  }
  board.addEventListener("webglcontextlost", () => groups.forEach((group) => group.classList.remove("live")));
})();
