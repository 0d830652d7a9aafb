// What the parts of the page share: elements, what the server told, and the item that is shown.

export const $ = (id) => document.getElementById(id);

export const state = {
  about: { films: [], pictures: [], samples: [], megabytes: 0, film_megabytes: 0, minutes: 0, most_in_zip: 0, vividness: null, given_vividness: null },
  current: null,
};

// How a visitor wants a picture, as the server takes it.
export const look = (item) => ({
  saturation: item.saturation, vividness: item.vividness, hints: item.hints, faces: item.faces,
});

// How a picture is wanted at first, beside its corrections.
export const firstSettings = () => ({ saturation: 1, vividness: state.about.vividness, faces: false });

// Two looks are the same where their keys are.
export const keyOf = (item) => JSON.stringify(look(item));

export const stemOf = (name) => name.replace(/\.[^.]*$/, "");
