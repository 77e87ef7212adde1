"""Map landslides from within QGIS: a script for the Processing toolbox, for QGIS 3.22 and later.

Processing toolbox > Scripts > Add Script to Toolbox… adds it as *Landslides > Map landslides*. It
runs the program of an environment of its own, so that QGIS needs neither torch nor the package.
"""

import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any, ClassVar, Optional

from qgis.core import (
    QgsColorRampShader,
    QgsMapLayer,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingOutputNumber,
    QgsProcessingOutputRasterLayer,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsRasterLayer,
    QgsRasterShader,
    QgsSettings,
    QgsSingleBandPseudoColorRenderer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QProcess, QProcessEnvironment
from qgis.PyQt.QtGui import QColor

Parameters = Optional[dict[str, Any]]

SETTING = "landslide/program"
"""Where QGIS keeps the path of the program between sessions."""

DETECTORS = ["log_ratio", "change_z", "anomaly", "slope"]
ORBITS = ["the model's own", "ascending", "descending", "both"]

CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[─-╿]")
"""What a terminal takes for colours and movements, and the lines of tables."""

PERCENT = re.compile(r"(\d+)%")


class MapLandslides(QgsProcessingAlgorithm):
    """Map a scene folder, or a composite that is loaded, with a checkpoint or a detector."""

    def name(self) -> str:
        return "maplandslides"

    def displayName(self) -> str:
        return "Map landslides"

    def group(self) -> str:
        return "Landslides"

    def groupId(self) -> str:
        return "landslides"

    def createInstance(self) -> "MapLandslides":
        return MapLandslides()

    def shortHelpString(self) -> str:
        return (
            "Maps landslides from radar images with <code>landslide predict</code>, and adds "
            "probability and polygons to the project.\n\n"
            "<b>Program</b>: <code>landslide</code>, or <code>python</code>, of the environment "
            "that it is installed in.\n"
            "<b>Scene folder</b> or <b>composite</b>: what is mapped. The bands of a composite are "
            "found by their descriptions, such as vv_pre, vv_post1 and slope.\n"
            "<b>Checkpoint</b>: a trained network, or an exported <code>model.onnx</code>; without "
            "one the <b>detector</b> maps.\n"
            "<b>Further options</b>: as on the command line, such as "
            "<code>simplify=20 ems=true</code>; paths with spaces in quotes.\n\n"
            "A map that was cancelled goes on from its finished blocks when it is run again."
        )

    def initAlgorithm(self, configuration: Parameters = None) -> None:
        file, folder = QgsProcessingParameterFile.File, QgsProcessingParameterFile.Folder
        number = QgsProcessingParameterNumber.Double
        known = QgsSettings().value(SETTING) or shutil.which("landslide")
        parameters = [
            QgsProcessingParameterFile(
                "PROGRAM", "Program", file, defaultValue=known, fileFilter="Program (*)"
            ),
            QgsProcessingParameterFile("SCENE", "Scene folder", folder, optional=True),
            QgsProcessingParameterRasterLayer(
                "COMPOSITE", "or composite with described bands", optional=True
            ),
            QgsProcessingParameterFile(
                "CHECKPOINT", "Checkpoint", file, optional=True, fileFilter="Model (*.ckpt *.onnx)"
            ),
            QgsProcessingParameterEnum(
                "DETECTOR", "or detector", DETECTORS, defaultValue=0, optional=True
            ),
            QgsProcessingParameterEnum(
                "ORBIT", "Orbit of a scene folder", ORBITS, defaultValue=0, optional=True
            ),
            QgsProcessingParameterNumber(
                "THRESHOLD", "Threshold; default: the model's", number, optional=True, minValue=0
            ),
            QgsProcessingParameterNumber(
                "MIN_AREA", "Smallest landslide (m²)", number, defaultValue=400, minValue=0
            ),
            QgsProcessingParameterString("OPTIONS", "Further options", optional=True),
            QgsProcessingParameterFolderDestination("OUTPUT", "Folder of the map"),
        ]
        advanced = parameters[-2]
        advanced.setFlags(advanced.flags() | QgsProcessingParameterDefinition.FlagAdvanced)
        for parameter in parameters:
            self.addParameter(parameter)
        self.addOutput(QgsProcessingOutputRasterLayer("MEASURE", "Probability or score"))
        self.addOutput(QgsProcessingOutputVectorLayer("LANDSLIDES", "Landslides"))
        self.addOutput(QgsProcessingOutputNumber("COUNT", "Number of landslides"))

    def processAlgorithm(
        self,
        parameters: Parameters,
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> Parameters:
        program = self.parameterAsFile(parameters, "PROGRAM", context)
        output = Path(self.parameterAsString(parameters, "OUTPUT", context))
        run_program(program, ["predict", *self._options(parameters, context, output)], feedback)
        QgsSettings().setValue(SETTING, program)
        measure = output / "probability.tif"
        if not measure.exists():
            measure = output / "score.tif"
        polygons = f"{output / 'landslides.gpkg'}|layername=landslides"
        Style.kept = [Style(), Style()]
        results = (
            (str(measure), measure.stem.capitalize(), "MEASURE"),
            (polygons, "Landslides", "LANDSLIDES"),
        )
        for order, (source, title, result) in enumerate(results):
            details = QgsProcessingContext.LayerDetails(title, context.project(), result)
            details.groupName, details.layerSortKey = output.name, order  # of QGIS 3.32 and later
            details.setPostProcessor(Style.kept[order])
            context.addLayerToLoadOnCompletion(source, details)
        count = QgsVectorLayer(polygons, "landslides", "ogr").featureCount()
        feedback.pushInfo(f"{count} landslides; report: {output / 'report.html'}")
        return {
            "MEASURE": str(measure),
            "LANDSLIDES": polygons,
            "COUNT": count,
            "OUTPUT": str(output),
        }

    def _options(
        self, parameters: Parameters, context: QgsProcessingContext, output: Path
    ) -> list[str]:
        """The words of ``landslide predict``."""
        folder = self.parameterAsFile(parameters, "SCENE", context)
        composite = self.parameterAsRasterLayer(parameters, "COMPOSITE", context)
        if bool(folder) == bool(composite):
            raise QgsProcessingException("Name either a scene folder or a composite.")
        scene = folder or composite.source()
        detector = DETECTORS[self.parameterAsEnum(parameters, "DETECTOR", context)]
        model = self.parameterAsFile(parameters, "CHECKPOINT", context) or detector
        area = self.parameterAsDouble(parameters, "MIN_AREA", context)
        words = [f"checkpoint={quote(model)}", f"scene={quote(scene)}", f"output={quote(output)}"]
        words += [f"min_area={area:g}", "resume=true"]
        orbit = self.parameterAsEnum(parameters, "ORBIT", context)
        if folder and orbit:
            words.append(f"orbit={ORBITS[orbit]}")
        if parameters.get("THRESHOLD") is not None:
            words.append(f"threshold={self.parameterAsDouble(parameters, 'THRESHOLD', context):g}")
        return words + split_words(self.parameterAsString(parameters, "OPTIONS", context))


class Style(QgsProcessingLayerPostProcessorInterface):
    """Gives polygons the style of their GeoPackage, and a raster a scale of orange.

    Probabilities below 0.1 are not drawn, nor is the lower half of scores.

    Attributes:
        kept: Those in use, one for each layer: QGIS deletes them, but not all of its versions keep
            them alive until it needs them, after the algorithm has ended.
    """

    kept: ClassVar[list["Style"]] = []

    def postProcessLayer(
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        if not isinstance(layer, QgsRasterLayer):
            layer.loadDefaultStyle()
            layer.emitStyleChanged()  # so that the legend follows
            return
        low, high = 0.1, 1.0
        if layer.source().endswith("score.tif"):
            high = layer.dataProvider().bandStatistics(1).maximumValue
            low = high / 2
        shader = QgsColorRampShader(low, high)
        shader.setColorRampType(QgsColorRampShader.Interpolated)
        colors = ((0.9999 * low, "#00fde3cf"), (low, "#fde3cf"), (high, "#d55e00"))
        shader.setColorRampItemList(
            [
                QgsColorRampShader.ColorRampItem(value, QColor(color), f"{value:.3g}")
                for value, color in colors
            ]
        )
        raster_shader = QgsRasterShader()
        raster_shader.setRasterShaderFunction(shader)
        renderer = QgsSingleBandPseudoColorRenderer(layer.dataProvider(), 1, raster_shader)
        renderer.setClassificationMin(low)
        renderer.setClassificationMax(high)
        layer.setRenderer(renderer)
        layer.triggerRepaint()


def split_words(text: str) -> list[str]:
    """Words as a shell splits them, except that a backslash is one: Windows has it in paths."""
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
    try:
        return list(lexer)
    except ValueError as error:
        raise QgsProcessingException(f"Further options: {text} lacks a closing quote.") from error


def quote(value: object) -> str:
    """A value as a quoted word of the command line."""
    text = str(value).replace("\\", "/").replace("'", "\\'")
    return f"'{text}'"


def run_program(program: str, words: list[str], feedback: QgsProcessingFeedback) -> None:
    """Run the program to its end; show its lines and its progress.

    Raises:
        QgsProcessingException: There is no such program, it was cancelled, or it failed; the
            message is the program's own last sentence.
    """
    if not program or not Path(program).is_file():
        raise QgsProcessingException(
            f"There is no program {program or ''}: name landslide, or python, of the environment "
            "that it is installed in."
        )
    if Path(program).stem.lower().startswith("python"):
        words = ["-m", "landslide", *words]
    feedback.pushCommandInfo(" ".join([program, *words]))
    process = QProcess()
    process.setProcessChannelMode(QProcess.MergedChannels)
    process.setProcessEnvironment(own_environment())
    process.start(program, words)
    if not process.waitForStarted():
        raise QgsProcessingException(f"{program} cannot be run: {process.errorString()}.")
    lines = Lines(feedback)
    while process.state() != QProcess.NotRunning:
        process.waitForReadyRead(200)
        lines.add(bytes(process.readAllStandardOutput()))
        if feedback.isCanceled():
            process.terminate()
            if not process.waitForFinished(10_000):
                process.kill()
                process.waitForFinished()
            raise QgsProcessingException("Cancelled: finished blocks are kept.")
    lines.add(bytes(process.readAllStandardOutput()) + b"\n")
    if process.exitStatus() != QProcess.NormalExit or process.exitCode():
        raise QgsProcessingException(lines.last or f"{program} failed.")


def own_environment() -> QProcessEnvironment:
    """The environment of QGIS without what would turn another Python's head."""
    environment = QProcessEnvironment()
    for name, value in os.environ.items():
        if not name.startswith(("PYTHON", "GDAL", "PROJ", "QT_")):
            environment.insert(name, value)
    environment.insert("FORCE_COLOR", "1")  # without a terminal, progress is shown only so
    environment.insert("COLUMNS", "100")
    environment.insert("PYTHONIOENCODING", "utf-8")
    return environment


class Lines:
    """Output of a program: lines for the log, percentages for the progress bar.

    Args:
        feedback: Where they are shown.

    Attributes:
        last: The last line.
    """

    def __init__(self, feedback: QgsProcessingFeedback) -> None:
        self.feedback, self.last, self._rest = feedback, "", b""

    def add(self, output: bytes) -> None:
        """Show the complete lines of further output."""
        *complete, self._rest = re.split(rb"[\r\n]+", self._rest + output)
        for line in complete:
            text = CODES.sub("", line.decode("utf-8", "replace")).strip()
            percent = PERCENT.search(text)
            if text.startswith("Predicting") and percent:
                self.feedback.setProgress(int(percent[1]))
            elif text:
                self.last = text
                self.feedback.pushInfo(text)
