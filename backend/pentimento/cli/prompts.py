"""The commands about words: what becomes of a prompt, and the styles that prompts may take."""

from __future__ import annotations

import json
from typing import Any

import click

from .failures import wrong
from .options import setting_option


@click.command()
@click.argument("prompt")
@setting_option("negative_prompt")
@setting_option("styles")
@setting_option("model")
@setting_option("seed")
@setting_option("steps")
@click.option("--json", "as_json", is_flag=True, help="Print all that is known as JSON.")
def prompt(as_json: bool, **options: Any) -> None:
    """Show what becomes of PROMPT, without painting: its tokens, what is drawn for it, what is wrong with it.

    \b
    pentimento prompt "a (red:1.3) house, {snow|rain}" --seed 4
    """
    import secrets

    from pentimento.engine.models import ModelLibrary
    from pentimento.engine.prompts.checking import check_prompts
    from pentimento.engine.prompts.resolving import PROMPTS, PromptFiles
    from pentimento.engine.prompts.vocabulary import Vocabularies
    from pentimento_shared.settings import SEED_END, validate

    settings = validate("txt2img", {name: value for name, value in options.items() if value is not None})
    info = ModelLibrary.standard().get(str(settings["model"]))
    seed = int(settings["seed"])
    seed = secrets.randbelow(SEED_END) if seed < 0 else seed
    found = check_prompts(settings, seed, info, Vocabularies().of(info), PromptFiles.standard())
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        for name in PROMPTS:
            if settings[name] or found[name]["tokens"] or found[name]["error"]:
                click.echo(_line(name, found[name], str(settings[name])))
    faults = [found[name]["error"]["detail"] for name in PROMPTS if found[name]["error"]]
    if faults:
        raise wrong("\n".join(faults))


def _line(name: str, found: dict[str, Any], written: str) -> str:
    label = name.replace("_", " ")
    if found["error"]:
        return f"{label}: cannot be read"
    count = f"{found['tokens']} of {found['limit']} tokens, {found['chunks']} chunk{'s' * (found['chunks'] != 1)}"
    return f"{label}: {count}" + (f"\n{found['resolved']}" if found["resolved"] != written else "")


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print all that is known as JSON.")
@click.pass_context
def styles(context: click.Context, as_json: bool) -> None:
    """List the styles: words that --styles adds to the prompts. They lie in AUTOMATIC1111's styles.csv."""
    from dataclasses import asdict

    from pentimento.engine.prompts.resolving import PromptFiles
    from pentimento.engine.prompts.styles import read_styles

    if context.invoked_subcommand:
        return
    path = PromptFiles.standard().styles
    found = read_styles(path)
    if as_json:
        click.echo(json.dumps([asdict(style) for style in found], ensure_ascii=False, indent=2))
    elif not found:
        click.echo(f"There are no styles. They would lie in {path}; a styles.csv of AUTOMATIC1111 can be put there.")
    for style in () if as_json else found:
        away = f" / not: {style.negative_prompt}" if style.negative_prompt else ""
        click.echo(f"{style.name:<24} {style.prompt}{away}")


@styles.command()
@click.argument("name")
@click.argument("prompt")
@setting_option("negative_prompt")
def save(name: str, prompt: str, negative_prompt: str | None) -> None:
    """Keep PROMPT as the style NAME; {prompt} in it marks where a picture's own prompt stands."""
    from pentimento.engine.prompts.resolving import PromptFiles
    from pentimento.engine.prompts.styles import Style, save_style

    path = PromptFiles.standard().styles
    save_style(path, Style(name, prompt, negative_prompt or ""))
    click.echo(f"saved the style {name} in {path}")


@styles.command()
@click.argument("name")
def remove(name: str) -> None:
    """Take the style NAME out of the file."""
    from pentimento.engine.prompts.resolving import PromptFiles
    from pentimento.engine.prompts.styles import remove_style

    path = PromptFiles.standard().styles
    remove_style(path, name)
    click.echo(f"removed the style {name} from {path}")
